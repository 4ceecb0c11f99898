/**
 * What leaves this process through Redis comes back authenticated or not at all. A value is bound to its DID, so
 * one that was moved to another DID's place is as worthless as a forged one; it carries the block it was read at
 * and the time, so that a replayed old value is known for what it is.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { type ChainDocument, DOCUMENT_KEYS_MAX, type DocumentKey } from './document.ts';
import type { KeyMaterial } from './key-import.ts';
import type { SubjectChange } from './ports.ts';
import type { ChangePoint } from './withdrawals.ts';

/** The secret is an HMAC-SHA256 key: shorter than its output would be weaker than the hash. */
export const SEAL_SECRET_BYTES_MIN = 32;
/** Longest text looked at: 64 keys of 128 bytes and their names fit with room to spare. */
const SEALED_TEXT_MAX = 32_768;

const DOCUMENT_CONTEXT = 'sage did document 3';
const PURGE_CONTEXT = 'sage did purge 2';
const MAC_CHARS = 43;

export interface PurgeMessage {
  readonly chainId: number;
  readonly did: string;
  readonly kind: SubjectChange['kind'];
  /** Empty when the change concerns no single key. */
  readonly fragment: string;
  readonly safe: boolean;
  readonly blockNumber: number;
  readonly blockHash: string;
}

/** The text of a document for the shared tier. */
export function sealDocument(secret: Uint8Array, did: string, document: ChainDocument): string {
  const body = JSON.stringify([
    document.blockNumber,
    document.blockHash,
    document.readAtMs,
    document.deactivated,
    document.keys.map((key) => [
      key.fragment,
      key.flags,
      // JSON has no Infinity.
      Number.isFinite(key.validUntilMs) ? key.validUntilMs : 0,
      writeMaterial(key.material),
    ]),
  ]);
  return mac(secret, DOCUMENT_CONTEXT, did, body) + body;
}

/** The document in `text`, or null when it was not sealed for this DID with this secret. */
export function openDocument(secret: Uint8Array, did: string, text: string): ChainDocument | null {
  const value = open(secret, DOCUMENT_CONTEXT, did, text);
  if (!Array.isArray(value) || value.length !== 5) return null;
  const [blockNumber, blockHash, readAtMs, deactivated, rows] = value as unknown[];
  if (!isCount(blockNumber) || typeof blockHash !== 'string' || !isCount(readAtMs)) return null;
  if (typeof deactivated !== 'boolean') return null;
  if (!Array.isArray(rows) || rows.length > DOCUMENT_KEYS_MAX) return null;
  const keys: DocumentKey[] = [];
  for (const row of rows as unknown[]) {
    if (!Array.isArray(row)) return null;
    const [fragment, flags, validUntilMs, written] = row as unknown[];
    if (typeof fragment !== 'string' || !isCount(flags) || !isCount(validUntilMs)) return null;
    const material = readMaterial(written);
    if (material === null) return null;
    keys.push({
      fragment,
      flags,
      validUntilMs: validUntilMs === 0 ? Number.POSITIVE_INFINITY : validUntilMs,
      material,
    });
  }
  return { exists: true, deactivated, keys, blockNumber, blockHash, readAtMs };
}

function writeMaterial(material: KeyMaterial): unknown {
  if (material.kind === 'multikey') return Buffer.from(material.bytes).toString('base64url');
  return material.kind === 'jwk' ? { jwk: material.jwk } : { account: material.address };
}

function readMaterial(written: unknown): KeyMaterial | null {
  if (typeof written === 'string') return { kind: 'multikey', bytes: Buffer.from(written, 'base64url') };
  if (typeof written !== 'object' || written === null) return null;
  const { jwk, account } = written as { readonly jwk?: unknown; readonly account?: unknown };
  if (typeof account === 'string') return { kind: 'account', address: account };
  if (typeof jwk !== 'object' || jwk === null) return null;
  return { kind: 'jwk', jwk: jwk as Readonly<Record<string, unknown>> };
}

/** The text of a purge for the other nodes. */
export function sealPurge(secret: Uint8Array, message: PurgeMessage): string {
  const { chainId, did, kind, fragment, safe, blockNumber, blockHash } = message;
  const body = JSON.stringify([chainId, did, kind, fragment, safe, blockNumber, blockHash]);
  return mac(secret, PURGE_CONTEXT, '', body) + body;
}

/** The purge in `text`, or null when no node of ours sent it. */
export function openPurge(secret: Uint8Array, text: string): PurgeMessage | null {
  const value = open(secret, PURGE_CONTEXT, '', text);
  if (!Array.isArray(value) || value.length !== 7) return null;
  const [chainId, did, kind, fragment, safe, blockNumber, blockHash] = value as unknown[];
  if (!isCount(chainId) || typeof did !== 'string' || !isCount(blockNumber)) return null;
  if (typeof fragment !== 'string' || typeof blockHash !== 'string' || !isKind(kind)) return null;
  if (typeof safe !== 'boolean') return null;
  return { chainId, did, kind, fragment, safe, blockNumber, blockHash };
}

/** Tells a change from every other of its DID. */
function markOf(message: PurgeMessage): string {
  const { kind, safe, blockNumber, blockHash, fragment } = message;
  return `${kind}:${safe}:${blockNumber}:${blockHash}:${fragment}`;
}

/** The change that a purge is for. */
export function pointOf(message: PurgeMessage): ChangePoint {
  const { kind, chainId, blockNumber } = message;
  return { kind, chainId, blockNumber, mark: markOf(message) };
}

function open(secret: Uint8Array, context: string, did: string, text: string): unknown {
  if (text.length <= MAC_CHARS || text.length > SEALED_TEXT_MAX) return null;
  const body = text.slice(MAC_CHARS);
  const claimed = Buffer.from(text.slice(0, MAC_CHARS), 'latin1');
  const actual = Buffer.from(mac(secret, context, did, body), 'latin1');
  if (!timingSafeEqual(claimed, actual)) return null;
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

function mac(secret: Uint8Array, context: string, did: string, body: string): string {
  // A DID holds no line feed, so the three parts cannot run into each other.
  return createHmac('sha256', secret).update(`${context}\n${did}\n${body}`).digest('base64url');
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isKind(value: unknown): value is PurgeMessage['kind'] {
  return value === 'key' || value === 'transfer' || value === 'registered' || value === 'reorg';
}
