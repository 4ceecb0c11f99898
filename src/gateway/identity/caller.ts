import type { SignatureAlgorithm } from '../../trust/keys/key.ts';
import type { ProfileName } from '../../trust/profiles/profile.ts';

/** Who is calling, as proven; every later step trusts this and nothing else. */
export interface Caller {
  /** The DID, or empty for a route with `authentication: none`. */
  readonly did: string;
  /** The absolute DID URL of the key, or empty. */
  readonly keyId: string;
  /** Thumbprint of that key (RFC 7638), or empty: tells a key from the one that took its place. */
  readonly keyThumbprint: string;
  readonly method: 'signature' | 'none';
  readonly algorithm: SignatureAlgorithm | null;
  /** The profile by whose rules the signature was read; null without one. */
  readonly profile: ProfileName | null;
  /** Serialised component identifiers the signature covers, such as `"content-digest"` or `"@query-param";name="id"`. */
  readonly covered: ReadonlySet<string>;
  /** Milliseconds since the epoch after which the key must not be used any more; Infinity when it does not expire. */
  readonly validUntilMs: number;
}
