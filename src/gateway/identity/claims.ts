/**
 * What a request claims: the signatures that are meant for one of the route's profiles and pass every check that reads
 * only what the caller sent. Nothing has been proven yet, and nothing been asked for.
 */
import type { ParsedKeyId } from '../../trust/did/did-url.ts';
import { DidError } from '../../trust/did/errors.ts';
import type { Profile, ProfileName, RequestFacts } from '../../trust/profiles/profile.ts';
import { PROFILES } from '../../trust/profiles/profiles.ts';
import { WireError } from '../../trust/wire/errors.ts';
import type { RequestView } from '../../trust/wire/message.ts';
import { checkMessageShape } from '../../trust/wire/shape.ts';
import { type Signature, signaturesFor } from '../../trust/wire/signature-input.ts';
import { acceptableUntil, checkTime, type TimeBounds } from '../../trust/wire/verify.ts';
import { Refused } from '../refusal.ts';
import { IDENTITY_REFUSALS } from './errors.ts';
import type { IdentityPorts, IdentitySettings } from './identify.ts';

export interface Claim {
  readonly profile: Profile;
  readonly signature: Signature;
  readonly keyId: ParsedKeyId;
  readonly time: TimeBounds;
  /** The last moment at which any profile of the route accepts the signature, in seconds since the epoch. */
  readonly acceptableUntil: number;
  /** The most by which any of them accepts it ahead of its date. */
  readonly skewSeconds: number;
}

/** @throws {WireError | DidError | Refused} what is wrong with this signature */
function readClaim(
  profile: Profile,
  names: readonly ProfileName[],
  signature: Signature,
  view: RequestView,
  facts: RequestFacts,
  settings: IdentitySettings,
  ports: IdentityPorts,
): Claim {
  const { params } = signature;
  const time = profile.time(settings);
  checkTime(params, ports.now() / 1_000, time);
  profile.check(signature, view, facts);
  if (params.alg !== undefined && !profile.algorithms.has(params.alg))
    throw new WireError('algorithm_unsupported', params.alg);
  const widest = widestTime(names, signature, settings);
  if (ports.nonces.mayPredateMemory(params.created ?? 0, widest.skewSeconds))
    throw new Refused(IDENTITY_REFUSALS.signature_predates_start);
  const keyId = profile.keyId(signature, view);
  return { profile, signature, keyId, time, ...widest };
}

/**
 * Over all profiles of the route that the signature is meant for: outside the time of one of them, it may have been
 * accepted as another, or still be.
 */
function widestTime(
  names: readonly ProfileName[],
  { label, params }: Signature,
  settings: IdentitySettings,
): { readonly skewSeconds: number; readonly acceptableUntil: number } {
  const widest = { skewSeconds: 0, acceptableUntil: 0 };
  for (const name of names) {
    const profile = PROFILES[name];
    if (!profile.wants(label, params)) continue;
    const time = profile.time(settings);
    widest.skewSeconds = Math.max(widest.skewSeconds, time.skewSeconds ?? 0);
    widest.acceptableUntil = Math.max(widest.acceptableUntil, acceptableUntil(params, time));
  }
  return widest;
}

function isAboutTheRequest(error: unknown): boolean {
  return error instanceof WireError || error instanceof DidError || error instanceof Refused;
}

/**
 * In the order of the profiles, then of the signatures. More than one only where a message has several that fit: a
 * foreign one, though it come first, must not deny a good one. At most twelve: a message has four signatures, and each
 * fits three profiles at most. A bound below that would let foreign ones that fit several crowd out a good one.
 * @param names the profiles that the route accepts
 * @throws {WireError | DidError | Refused} when none can be read, the reason of the first
 */
export function readClaims(
  names: readonly ProfileName[],
  view: RequestView,
  facts: RequestFacts,
  settings: IdentitySettings,
  ports: IdentityPorts,
): readonly Claim[] {
  checkMessageShape(view);
  const claims: Claim[] = [];
  let reason: unknown = null;
  for (const name of names) {
    const profile = PROFILES[name];
    try {
      const signatures = signaturesFor(view, profile.wants, name);
      if (signatures === null) throw new Refused(IDENTITY_REFUSALS.signature_required);
      for (const signature of signatures) {
        try {
          claims.push(readClaim(profile, names, signature, view, facts, settings, ports));
        } catch (error) {
          if (!isAboutTheRequest(error)) throw error;
          reason = moreTelling(reason, error);
        }
      }
    } catch (error) {
      if (!isAboutTheRequest(error)) throw error;
      reason = moreTelling(reason, error);
    }
  }
  if (claims.length === 0) throw reason;
  return claims;
}

/** That no signature was meant for a profile says less than what is wrong with one that was. */
function moreTelling(before: unknown, error: unknown): unknown {
  const empty = before instanceof WireError && before.code === 'signature_not_found';
  return before === null || empty ? error : before;
}
