/** The Content-Digest field (RFC 9530, section 2) without its hashing, which every platform does in its own way. */
import { type Bytes, encodeBase64 } from './bytes.ts';
import { WireError } from './errors.ts';
import { isInnerList, visitDictionary } from './structured-fields.ts';

/** The two of the registry that are neither broken nor checksums (section 7.2). */
export type DigestAlgorithm = 'sha-256' | 'sha-512';

/** Room for both, with some unknown ones beside them; a digest takes at most 100 characters. */
const FIELD_LENGTH_MAX = 1024;

export interface DigestEntry {
  readonly algorithm: DigestAlgorithm;
  readonly digest: Bytes;
}

/** The field's value for a digest that was made. */
export function digestField(algorithm: DigestAlgorithm, digest: Uint8Array): string {
  return `${algorithm}=:${encodeBase64(digest)}:`;
}

/**
 * The entries we know, a repeated one included: each of them must match. Those we do not know are not looked at.
 * @throws {WireError} digest_malformed, digest_unsupported
 */
export function digestEntries(fieldValue: string): DigestEntry[] {
  const entries: DigestEntry[] = [];
  if (fieldValue.length > FIELD_LENGTH_MAX) throw new WireError('digest_malformed');
  try {
    visitDictionary(fieldValue, (key, member) => {
      // An unknown algorithm's entry need only parse; ours must be a Byte Sequence (section 2).
      if (key !== 'sha-256' && key !== 'sha-512') return;
      const digest = isInnerList(member) ? null : member.value;
      if (!(digest instanceof Uint8Array)) throw new WireError('digest_malformed', key);
      entries.push({ algorithm: key, digest });
    });
  } catch (error) {
    if (error instanceof WireError) throw new WireError('digest_malformed', error.component);
    throw error;
  }
  if (entries.length === 0) throw new WireError('digest_unsupported');
  return entries;
}
