import { DidError } from './errors.ts';
import type { KeyMaterial } from './key-import.ts';
import type { ChainKeys } from './ports.ts';

/** Bits of a key's flags. What stands in `authentication` may sign requests. */
const AUTHENTICATION_FLAG = 0x01;
/** Keys looked at in one document. Registries set no bound and whoever owns an entry can write, so we do: the oldest count. */
export const DOCUMENT_KEYS_MAX = 64;
/** A Multikey for authentication takes at most 51 bytes (P-384); what is longer is no key of ours. */
const MULTIKEY_BYTES_MAX = 128;

/** ECMA-262, section 21.4.1.1. */
const DATE_MS_MAX = 8.64e15;

export interface DocumentKey {
  readonly fragment: string;
  readonly flags: number;
  /** Milliseconds since the epoch; Infinity when the key does not expire. */
  readonly validUntilMs: number;
  readonly material: KeyMaterial;
}

/** What an authority said about a DID, and where and when it was read. */
export interface DidDocument {
  readonly exists: boolean;
  readonly keys: readonly DocumentKey[];
  readonly readAtMs: number;
}

/** One that stands on a chain. */
export interface ChainDocument extends DidDocument {
  readonly deactivated: boolean;
  readonly blockNumber: number;
  readonly blockHash: string;
}

/** The bounded document of an answer of the chain. */
export function documentOf(answer: ChainKeys, readAtMs: number): ChainDocument {
  const usable = answer.keys.filter(({ material }) => isShort(material));
  if (usable.length > DOCUMENT_KEYS_MAX) usable.sort((a, b) => a.setAtBlock - b.setAtBlock);
  return {
    exists: answer.exists,
    deactivated: answer.deactivated === true,
    keys: usable.slice(0, DOCUMENT_KEYS_MAX).map((key) => ({
      fragment: key.fragment,
      flags: key.flags,
      validUntilMs: validUntilMs(key.notAfter),
      material: key.material,
    })),
    blockNumber: answer.blockNumber,
    blockHash: answer.blockHash,
    readAtMs,
  };
}

function isShort(material: KeyMaterial): boolean {
  return material.kind !== 'multikey' || material.bytes.length <= MULTIKEY_BYTES_MAX;
}

/** `notAfter` is 64 bits wide on chain; what lies past the last moment a Date can name never comes. */
function validUntilMs(notAfter: number): number {
  const ms = notAfter * 1000;
  return notAfter === 0 || ms > DATE_MS_MAX ? Number.POSITIVE_INFINITY : ms;
}

/**
 * The one key that a keyid names, if it may sign requests now (RFC 9421, section 3.2, step 5; W3C Controlled
 * Identifiers, section 2.3.1). A bare DID names a key only when exactly one fits.
 * @throws DidError did_unknown, key_unknown, key_expired, key_ambiguous
 */
export function chooseKey(document: DidDocument, fragment: string | null, nowMs: number): DocumentKey {
  if (!document.exists) throw new DidError('did_unknown', 'nobody is registered under it');
  const named = document.keys.filter(
    (key) => (key.flags & AUTHENTICATION_FLAG) !== 0 && (fragment === null || key.fragment === fragment),
  );
  const valid = named.filter((key) => key.validUntilMs > nowMs);
  const [key] = valid;
  if (key !== undefined && valid.length === 1) return key;
  if (valid.length > 1) throw new DidError('key_ambiguous', `${valid.length} keys fit`);
  if (named.length > 0) throw new DidError('key_expired', 'the key is past its notAfter');
  if (fragment !== null && document.keys.some((other) => other.fragment === fragment)) {
    throw new DidError('key_unknown', `#${fragment} exists, but is not for authentication`);
  }
  throw new DidError(
    'key_unknown',
    fragment === null ? 'the DID has no key' : `the DID has no key #${fragment}`,
  );
}

/** Whether `key` is the only one of its document that a bare DID may mean, now and, as others only expire, later. */
export function isSoleKey(document: DidDocument, key: DocumentKey): boolean {
  return document.keys.every((other) => other === key || (other.flags & AUTHENTICATION_FLAG) === 0);
}
