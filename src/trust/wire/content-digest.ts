/**
 * Content-Digest (RFC 9530, section 2), hashed by Node. A signature that covers the field says nothing about the
 * content until the bytes have been hashed.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import { type DigestAlgorithm, digestEntries } from './digest-field.ts';
import { WireError } from './errors.ts';

const NODE_NAME: Readonly<Record<DigestAlgorithm, string>> = { 'sha-256': 'sha256', 'sha-512': 'sha512' };

/** The field's value for `body`. */
export function contentDigest(body: Uint8Array, algorithm: DigestAlgorithm = 'sha-256'): string {
  return `${algorithm}=:${hash(NODE_NAME[algorithm], body, 'base64')}:`;
}

/**
 * Every entry we know must match, a repeated one included; entries we do not know are not looked at. A field has room for
 * eighteen entries, so each algorithm is hashed once: a body of a megabyte takes a millisecond.
 * @throws {WireError} digest_malformed, digest_unsupported, digest_mismatch
 */
export function checkContentDigest(fieldValue: string, body: Uint8Array): void {
  const hashed: Partial<Record<DigestAlgorithm, Buffer>> = {};
  for (const { algorithm, digest } of digestEntries(fieldValue)) {
    hashed[algorithm] ??= hash(NODE_NAME[algorithm], body, 'buffer');
    if (!hashed[algorithm].equals(digest)) throw new WireError('digest_mismatch', algorithm);
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
  const entries = digestEntries(fieldValue);
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
