/** Content-Digest (RFC 9530) by WebCrypto. */
import { sameBytes } from '../trust/wire/bytes.ts';
import { type DigestAlgorithm, digestEntries, digestField } from '../trust/wire/digest-field.ts';
import { WireError } from '../trust/wire/errors.ts';
import { subtle } from './algorithms.ts';
import { owned } from './public-key.ts';

async function digest(algorithm: DigestAlgorithm, body: Uint8Array): Promise<Uint8Array> {
  const name = algorithm === 'sha-256' ? 'SHA-256' : 'SHA-512';
  return new Uint8Array(await subtle().digest(name, owned(body)));
}

/** The field's value for `body`. */
export async function contentDigest(
  body: Uint8Array,
  algorithm: DigestAlgorithm = 'sha-256',
): Promise<string> {
  return digestField(algorithm, await digest(algorithm, body));
}

/**
 * Every entry we know must match, a repeated one included.
 * @throws {WireError} digest_malformed, digest_unsupported, digest_mismatch
 */
export async function checkContentDigest(fieldValue: string, body: Uint8Array): Promise<void> {
  for (const entry of digestEntries(fieldValue)) {
    if (!sameBytes(await digest(entry.algorithm, body), entry.digest))
      throw new WireError('digest_mismatch', entry.algorithm);
  }
}
