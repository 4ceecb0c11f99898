/**
 * Content-Digest (RFC 9530, section 2). A signature that covers the field says nothing about the content until
 * the bytes have been hashed.
 */
import { Buffer } from 'node:buffer';
import { createHash, type Hash, hash } from 'node:crypto';
import { WireError } from './errors.ts';
import { isInnerList, visitDictionary } from './structured-fields.ts';

/** The two of the registry that are neither broken nor checksums (section 7.2). */
export type DigestAlgorithm = 'sha-256' | 'sha-512';

/** Room for both, with some unknown ones beside them; a digest takes at most 100 characters. */
const FIELD_LENGTH_MAX = 1024;

const NODE_NAME: Readonly<Record<DigestAlgorithm, string>> = { 'sha-256': 'sha256', 'sha-512': 'sha512' };

/** The field's value for `body`. */
export function contentDigest(body: Uint8Array, algorithm: DigestAlgorithm = 'sha-256'): string {
  return `${algorithm}=:${hash(NODE_NAME[algorithm], body, 'base64')}:`;
}

/**
 * Every entry we know must match, a repeated one included; entries we do not know are not looked at.
 * @throws {WireError} digest_malformed, digest_unsupported, digest_mismatch
 */
export function checkContentDigest(fieldValue: string, body: Uint8Array): void {
  for (const { algorithm, digest } of knownEntries(fieldValue)) {
    if (!hash(NODE_NAME[algorithm], body, 'buffer').equals(digest))
      throw new WireError('digest_mismatch', algorithm);
  }
}

export interface DigestCheck {
  update(chunk: Uint8Array): void;
  /** Whether everything given to `update` is the content; to be asked once, at the end. */
  matches(): boolean;
}

/**
 * The same for content that arrives in pieces.
 * @throws {WireError} digest_malformed, digest_unsupported
 */
export function digestCheck(fieldValue: string): DigestCheck {
  const entries = knownEntries(fieldValue);
  const hashes = new Map<DigestAlgorithm, Hash>();
  for (const { algorithm } of entries) {
    if (!hashes.has(algorithm)) hashes.set(algorithm, createHash(NODE_NAME[algorithm]));
  }
  return {
    update(chunk) {
      for (const one of hashes.values()) one.update(chunk);
    },
    matches() {
      const actual = new Map([...hashes].map(([algorithm, one]) => [algorithm, one.digest()]));
      return entries.every(({ algorithm, digest }) => actual.get(algorithm)?.equals(digest) === true);
    },
  };
}

interface Entry {
  readonly algorithm: DigestAlgorithm;
  readonly digest: Buffer;
}

function knownEntries(fieldValue: string): Entry[] {
  const entries: Entry[] = [];
  if (fieldValue.length > FIELD_LENGTH_MAX) throw new WireError('digest_malformed');
  try {
    visitDictionary(fieldValue, (key, member) => {
      // An unknown algorithm's entry need only parse; ours must be a Byte Sequence (section 2).
      if (key !== 'sha-256' && key !== 'sha-512') return;
      const digest = isInnerList(member) ? null : member.value;
      if (!Buffer.isBuffer(digest)) throw new WireError('digest_malformed', key);
      entries.push({ algorithm: key, digest });
    });
  } catch (error) {
    if (error instanceof WireError) throw new WireError('digest_malformed', error.component);
    throw error;
  }
  if (entries.length === 0) throw new WireError('digest_unsupported');
  return entries;
}
