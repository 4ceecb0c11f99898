/**
 * Which of a request's claims is true: the first whose key can be had and whose signature verifies. What else stands in
 * the request denies no good one.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { DidError } from '../../trust/did/errors.ts';
import type { ResolvedKey } from '../../trust/did/resolver.ts';
import { VerificationBusy } from '../../trust/keys/errors.ts';
import type { SignatureAlgorithm } from '../../trust/keys/key.ts';
import { KEY_ALGORITHMS } from '../../trust/profiles/profiles.ts';
import { latin1Text } from '../../trust/wire/bytes.ts';
import { WireError } from '../../trust/wire/errors.ts';
import type { RequestView } from '../../trust/wire/message.ts';
import { signatureBase } from '../../trust/wire/verify.ts';
import { Refused } from '../refusal.ts';
import type { Caller } from './caller.ts';
import type { Claim } from './claims.ts';
import { IDENTITY_REFUSALS } from './errors.ts';
import type { Claimant, IdentityPorts } from './identify.ts';

/** Refusals that concern one of several signatures. */
const OF_ONE_SIGNATURE: ReadonlySet<string> = new Set(['signature_invalid', 'new_callers_limited']);
/** Evidence in a problem document; a base longer than this helps nobody. */
const SHOWN_BASE_LENGTH_MAX = 2_048;
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

export function isSafeMethod(method: string): boolean {
  return SAFE_METHODS.has(method);
}

function refusedBase(view: RequestView, base: Uint8Array): Refused {
  return new Refused(IDENTITY_REFUSALS.signature_invalid, {
    explanation: `the signature does not verify over the base that was expected for ${view.method} ${view.target}`,
    evidence: { signature_base: latin1Text(base.subarray(0, SHOWN_BASE_LENGTH_MAX)) },
  });
}

/** A claim whose signature has verified. */
export interface Proven {
  readonly claim: Claim;
  readonly key: ResolvedKey;
  readonly caller: Caller;
}

/**
 * Whether another of the request's signatures may still be good: what failed is one signature, or its key, or that too many
 * unknown callers were looked up, which says nothing of one who is known.
 */
function mayTryNext(error: unknown): boolean {
  if (error instanceof DidError || error instanceof WireError || error instanceof VerificationBusy)
    return true;
  return error instanceof Refused && OF_ONE_SIGNATURE.has(error.kind.code);
}

/** After the signature verified, and only then, its key may enter the cache. */
function accept(
  claimant: Claimant,
  claim: Claim,
  key: ResolvedKey,
  algorithm: SignatureAlgorithm,
  ports: IdentityPorts,
): Proven {
  // False when the DID was purged since the key was fetched: a revoked key must not pass even once.
  if (!ports.keys.admit(key))
    throw new DidError('key_withdrawn', 'the keys of this DID changed while it was checked');
  const caller: Caller = {
    did: key.did,
    keyId: key.keyId,
    keyThumbprint: key.key.thumbprint,
    method: 'signature',
    algorithm,
    profile: claim.profile.name,
    covered: claim.signature.covered,
    validUntilMs: key.validUntilMs,
  };
  claimant.onIdentified(caller);
  return { claim, key, caller };
}

/** The signature itself; at once where its key verifies at once. */
function verifySignature(
  claimant: Claimant,
  claim: Claim,
  key: ResolvedKey,
  ports: IdentityPorts,
): Proven | Promise<Proven> {
  const { profile, signature } = claim;
  const used = profile.keyOf(key.key);
  if (used === null) throw new WireError('algorithm_unsupported', key.key.algorithm);
  const { alg } = signature.params;
  // The algorithm is the key's; `alg` can agree with it, never choose it (RFC 9421, sections 3.2, step 6, and 7.3.6).
  if (
    alg === undefined ? !KEY_ALGORITHMS.has(used.algorithm) : profile.algorithms.get(alg) !== used.algorithm
  )
    throw new WireError('algorithm_mismatch', alg ?? used.algorithm);
  const base = signatureBase(signature, claimant.view);
  const bytes = profile.signature(signature.signature);
  const startedAt = performance.now();
  const settle = (verified: boolean): Proven => {
    claimant.onChecked((performance.now() - startedAt) * 1_000);
    if (!verified) throw refusedBase(claimant.view, base);
    return accept(claimant, claim, key, used.algorithm, ports);
  };
  const verified = bytes !== null && used.verify(profile.signed(base), bytes);
  return typeof verified === 'boolean' ? settle(verified) : verified.then(settle);
}

function keyOf(claimant: Claimant, claim: Claim, ports: IdentityPorts): ResolvedKey | Promise<ResolvedKey> {
  const safeMethod = isSafeMethod(claimant.view.method);
  return ports.keys.find(claim.keyId, { safeMethod, onCold: claimant.onCold });
}

function proveOne(claimant: Claimant, claim: Claim, ports: IdentityPorts): Proven | Promise<Proven> {
  const found = keyOf(claimant, claim, ports);
  if (found instanceof Promise) return found.then((key) => verifySignature(claimant, claim, key, ports));
  return verifySignature(claimant, claim, found, ports);
}

/** A claim whose key has come, or will not. */
interface Answered {
  readonly claim: Claim;
  readonly key: ResolvedKey | null;
  readonly fault: unknown;
}

/**
 * In their order, so that the caller of a message is the same however often it is sent and whatever memory holds. While one
 * key is waited for the others are looked up too: together they take as long as the slowest. Other requests have their turn
 * before each check: bad signatures cost whoever brings them more than they cost others.
 * @throws when none is true, the reason of the first
 */
async function proveSome(
  claimant: Claimant,
  claims: readonly Claim[],
  ports: IdentityPorts,
): Promise<Proven> {
  const reasons = new Map<Claim, unknown>();
  const asked = new Map<Claim, Answered | Promise<Answered>>();
  const answerOf = (claim: Claim): Answered | Promise<Answered> => {
    const answer = asked.get(claim) ?? ask(claimant, claim, ports);
    asked.set(claim, answer);
    return answer;
  };
  const check = async ({ claim, key, fault }: Answered): Promise<Proven | null> => {
    try {
      if (key === null) throw fault;
      return await verifySignature(claimant, claim, key, ports);
    } catch (error) {
      if (!mayTryNext(error)) throw error;
      reasons.set(claim, error);
      return null;
    }
  };
  for (const claim of claims) {
    const answer = answerOf(claim);
    if (answer instanceof Promise) for (const other of claims) void answerOf(other);
    const proven = await check(await answer);
    if (proven !== null) return proven;
    await breathe();
  }
  throw reasons.get(claims[0] as Claim);
}

/** Never throws, never rejects. */
function ask(claimant: Claimant, claim: Claim, ports: IdentityPorts): Answered | Promise<Answered> {
  const failed = (fault: unknown): Answered => ({ claim, key: null, fault });
  try {
    const found = keyOf(claimant, claim, ports);
    if (found instanceof Promise) return found.then((key) => ({ claim, key, fault: null }), failed);
    return { claim, key: found, fault: null };
  } catch (error) {
    return failed(error);
  }
}

/** At once where the key is at hand and the primitive answers at once. */
export function prove(
  claimant: Claimant,
  claims: readonly Claim[],
  ports: IdentityPorts,
): Proven | Promise<Proven> {
  return claims.length === 1
    ? proveOne(claimant, claims[0] as Claim, ports)
    : proveSome(claimant, claims, ports);
}
