/**
 * What leaves this process through Redis comes back authenticated or not at all. A value is bound to its DID, so
 * one that was moved to another DID's place is as worthless as a forged one; it carries the block it was read at
 * and the time, so that a replayed old value is known for what it is.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { type AgentDocument, DOCUMENT_KEYS_MAX, type DocumentKey } from './document.ts';
import type { AgentChange } from './ports.ts';

/** The secret is an HMAC-SHA256 key: shorter than its output would be weaker than the hash. */
export const SEAL_SECRET_BYTES_MIN = 32;
/** Longest text looked at: 64 keys of 128 bytes and their names fit with room to spare. */
const SEALED_TEXT_MAX = 32_768;

const DOCUMENT_CONTEXT = 'sage did document 1';
const PURGE_CONTEXT = 'sage did purge 1';
const MAC_CHARS = 43;

export interface PurgeMessage {
  readonly did: string;
  readonly kind: AgentChange['kind'];
  /** Empty when the change concerns no single key. */
  readonly fragment: string;
  readonly safe: boolean;
  readonly blockNumber: number;
  readonly blockHash: string;
}

/** The text of a document for the shared tier. */
export function sealDocument(secret: Uint8Array, did: string, document: AgentDocument): string {
  const body = JSON.stringify([
    document.blockNumber,
    document.blockHash,
    document.readAtMs,
    document.keys.map((key) => [
      key.fragment,
      key.flags,
      // JSON has no Infinity.
      Number.isFinite(key.validUntilMs) ? key.validUntilMs : 0,
      Buffer.from(key.multikey).toString('base64url'),
    ]),
  ]);
  return mac(secret, DOCUMENT_CONTEXT, did, body) + body;
}

/** The document in `text`, or null when it was not sealed for this DID with this secret. */
export function openDocument(secret: Uint8Array, did: string, text: string): AgentDocument | null {
  const value = open(secret, DOCUMENT_CONTEXT, did, text);
  if (!Array.isArray(value) || value.length !== 4) return null;
  const [blockNumber, blockHash, readAtMs, rows] = value as unknown[];
  if (!isCount(blockNumber) || typeof blockHash !== 'string' || !isCount(readAtMs)) return null;
  if (!Array.isArray(rows) || rows.length > DOCUMENT_KEYS_MAX) return null;
  const keys: DocumentKey[] = [];
  for (const row of rows as unknown[]) {
    if (!Array.isArray(row)) return null;
    const [fragment, flags, validUntilMs, multikey] = row as unknown[];
    if (typeof fragment !== 'string' || !isCount(flags) || !isCount(validUntilMs)) return null;
    if (typeof multikey !== 'string') return null;
    keys.push({
      fragment,
      flags,
      validUntilMs: validUntilMs === 0 ? Number.POSITIVE_INFINITY : validUntilMs,
      multikey: Buffer.from(multikey, 'base64url'),
    });
  }
  return { exists: true, keys, blockNumber, blockHash, readAtMs };
}

/** The text of a purge for the other nodes. */
export function sealPurge(secret: Uint8Array, message: PurgeMessage): string {
  const { did, kind, fragment, safe, blockNumber, blockHash } = message;
  const body = JSON.stringify([did, kind, fragment, safe, blockNumber, blockHash]);
  return mac(secret, PURGE_CONTEXT, '', body) + body;
}

/** The purge in `text`, or null when no node of ours sent it. */
export function openPurge(secret: Uint8Array, text: string): PurgeMessage | null {
  const value = open(secret, PURGE_CONTEXT, '', text);
  if (!Array.isArray(value) || value.length !== 6) return null;
  const [did, kind, fragment, safe, blockNumber, blockHash] = value as unknown[];
  if (typeof did !== 'string' || !isCount(blockNumber)) return null;
  if (typeof fragment !== 'string' || typeof blockHash !== 'string' || !isKind(kind)) return null;
  if (typeof safe !== 'boolean') return null;
  return { did, kind, fragment, safe, blockNumber, blockHash };
}

/** Tells a change from every other of its DID. */
export function markOf(message: PurgeMessage): string {
  const { kind, safe, blockNumber, blockHash, fragment } = message;
  return `${kind}:${safe}:${blockNumber}:${blockHash}:${fragment}`;
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
