/**
 * What a text adds to RFC 9421: which signatures are meant for it, what they must say and cover, what their key signs.
 * A profile asks for more than the RFC's own section 7.2 as this gateway reads it, never for less, but where its file
 * says so; a route names those it accepts. Pure: clock and settings come in.
 */
import type { ParsedKeyId } from '../did/did-url.ts';
import type { SignatureAlgorithm, VerificationKey } from '../keys/key.ts';
import type { Bytes } from '../wire/bytes.ts';
import type { RequestView } from '../wire/message.ts';
import type { Signature, WantedSignature } from '../wire/signature-input.ts';
import type { TimeBounds } from '../wire/verify.ts';

export const PROFILE_NAMES = [
  'rfc9421',
  'web-bot-auth',
  'sage-g2',
  'sage-0.10',
  'sage-g1',
  'erc8128',
] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** What the operator sets, for the profiles whose text leaves it open. */
export interface OperatorTime {
  readonly maxAgeSeconds: number;
  readonly skewSeconds: number;
}

/** What must be known of a request beside its view. */
export interface RequestFacts {
  readonly hasBody: boolean;
  /** GET, HEAD or OPTIONS. */
  readonly safeMethod: boolean;
}

export interface Profile {
  readonly name: ProfileName;
  /** Tells the signatures that are meant for this profile from foreign ones, which deny nothing. */
  readonly wants: WantedSignature;
  time(operator: OperatorTime): TimeBounds;
  /**
   * Parameters and coverage, before any key is asked for.
   * @throws {WireError} parameter_missing, coverage_insufficient, field_disagrees, …
   */
  check(signature: Signature, view: RequestView, facts: RequestFacts): void;
  /** What `alg` may say, and the algorithm that is then meant. */
  readonly algorithms: ReadonlyMap<string, SignatureAlgorithm>;
  /** @throws {DidError} did_malformed, did_method_unsupported @throws {WireError} field_disagrees, component_missing */
  keyId(signature: Signature, view: RequestView): ParsedKeyId;
  /** The key as this profile uses it; null when it cannot be used by it. */
  keyOf(key: VerificationKey): VerificationKey | null;
  /** What the key has signed, made of the signature base. */
  signed(base: Bytes): Bytes;
  /** The signature as the key takes it; null when it has none of the profile's forms. */
  signature(bytes: Bytes): Bytes | null;
}
