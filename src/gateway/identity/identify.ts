/**
 * From a signed request to a `Caller`, or a refusal. The order is the defence: what costs nothing comes first, the
 * signature before the body, the body's digest before the nonce, and the nonce last, because whoever could store
 * nonces before verification could lock a caller out (RFC 9421, section 7.2.2).
 */
import type { Readable } from 'node:stream';
import { setImmediate as breathe } from 'node:timers/promises';
import type { NonceOutcome, NonceUse } from '../../store/nonces.ts';
import type { ParsedKeyId } from '../../trust/did/did-url.ts';
import { DidError } from '../../trust/did/errors.ts';
import type { ResolvedKey } from '../../trust/did/resolver.ts';
import { VerificationBusy } from '../../trust/keys/errors.ts';
import type { SignatureAlgorithm } from '../../trust/keys/key.ts';
import type { ProfileName } from '../../trust/profiles/profile.ts';
import { KEY_ALGORITHMS } from '../../trust/profiles/profiles.ts';
import { latin1Text } from '../../trust/wire/bytes.ts';
import { checkContentDigest, type DigestCheck, digestCheck } from '../../trust/wire/content-digest.ts';
import { WireError } from '../../trust/wire/errors.ts';
import type { RequestView } from '../../trust/wire/message.ts';
import { checkTime, signatureBase } from '../../trust/wire/verify.ts';
import { Refused } from '../refusal.ts';
import { type BodyBudget, type BodyLimits, readBody } from './body.ts';
import type { Caller } from './caller.ts';
import { type Claim, readClaims } from './claims.ts';
import { IDENTITY_REFUSALS, refusedByDid, refusedByWire } from './errors.ts';

/** What identity needs from the other rooms; `app.ts` hands it in. */
export interface IdentityPorts {
  readonly keys: {
    find(
      keyId: ParsedKeyId,
      options: { readonly safeMethod: boolean; readonly onCold?: (() => void) | undefined },
    ): ResolvedKey | Promise<ResolvedKey>;
    admit(resolved: ResolvedKey): boolean;
    /** Whether what `admit` checked still holds; asked again after every wait. */
    stands(resolved: ResolvedKey): boolean;
  };
  readonly nonces: {
    /**
     * Whether a signature made at that moment may have been used before this process could remember it.
     * @param skewSeconds how far ahead of the clock it may have been accepted
     */
    mayPredateMemory(createdSeconds: number, skewSeconds: number): boolean;
    reserve(use: NonceUse, nowMs: number): NonceOutcome | Promise<NonceOutcome>;
    /** Notes that a signature of that date is about to be accepted, so that a restart refuses it; false when it cannot. */
    noteCreated(createdSeconds: number): boolean;
  };
  readonly now: () => number;
}

export interface IdentitySettings {
  readonly maxAgeSeconds: number;
  readonly skewSeconds: number;
  readonly body: BodyLimits;
  readonly budget: BodyBudget;
}

/** One request as identity sees it. */
export interface Claimant {
  readonly view: RequestView;
  /** Null when the request has no body. */
  readonly source: Readable | null;
  readonly declaredBytes: number | null;
  /** True when the route forwards the body as it comes, its last chunk withheld until the digest matches. */
  readonly streamed: boolean;
  readonly nonceDownPolicy: 'refuse' | 'refuse_unsafe';
  /** What the route accepts; see `trust/profiles`. */
  readonly profiles: readonly ProfileName[];
  /** Called before a caller is looked up who is not in memory. @throws {Refused} when there were too many such */
  readonly onCold?: () => void;
  /** What the signature primitive took, whatever it found. */
  onChecked(verifyMicroseconds: number): void;
  /** Called when the signature has verified, before the body is waited for. */
  onIdentified(caller: Caller): void;
}

export interface Identified {
  readonly caller: Caller;
  /** The proven body, counted in the budget until it has been handed on; null when there is none or it is streamed. */
  readonly body: Buffer | null;
  /** What a streamed body must still prove. */
  readonly proof: DigestCheck | null;
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const CONTENT_DIGEST = '"content-digest"';
const NOTHING = Buffer.alloc(0);
/** Refusals that concern one of several signatures. */
const OF_ONE_SIGNATURE: ReadonlySet<string> = new Set(['signature_invalid', 'new_callers_limited']);
/** Evidence in a problem document; a base longer than this helps nobody. */
const SHOWN_BASE_LENGTH_MAX = 2_048;

function isSafeMethod(method: string): boolean {
  return SAFE_METHODS.has(method);
}

function refusedBase(view: RequestView, base: Uint8Array): Refused {
  return new Refused(IDENTITY_REFUSALS.signature_invalid, {
    explanation: `the signature does not verify over the base that was expected for ${view.method} ${view.target}`,
    evidence: { signature_base: latin1Text(base.subarray(0, SHOWN_BASE_LENGTH_MAX)) },
  });
}

/** A claim whose signature has verified. */
interface Proven {
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

function proveOne(claimant: Claimant, claim: Claim, ports: IdentityPorts): Proven | Promise<Proven> {
  const found = ports.keys.find(claim.keyId, {
    safeMethod: isSafeMethod(claimant.view.method),
    onCold: claimant.onCold,
  });
  if (found instanceof Promise) return found.then((key) => verifySignature(claimant, claim, key, ports));
  return verifySignature(claimant, claim, found, ports);
}

/**
 * The others, one after the other, after the first failed; its reason is the one told. Other requests have their turn
 * before each: bad signatures cost whoever brings them more than they cost others.
 */
async function proveOther(
  claimant: Claimant,
  claims: readonly Claim[],
  reason: unknown,
  ports: IdentityPorts,
): Promise<Proven> {
  if (!mayTryNext(reason)) throw reason;
  for (const claim of claims.slice(1)) {
    await breathe();
    try {
      return await proveOne(claimant, claim, ports);
    } catch (error) {
      if (!mayTryNext(error)) throw error;
    }
  }
  throw reason;
}

function proveAny(
  claimant: Claimant,
  claims: readonly Claim[],
  ports: IdentityPorts,
): Proven | Promise<Proven> {
  const first = claims[0] as Claim;
  if (claims.length === 1) return proveOne(claimant, first, ports);
  try {
    const proven = proveOne(claimant, first, ports);
    if (!(proven instanceof Promise)) return proven;
    return proven.catch((reason: unknown) => proveOther(claimant, claims, reason, ports));
  } catch (reason) {
    return proveOther(claimant, claims, reason, ports);
  }
}

function answerNonce(outcome: NonceOutcome): void {
  if (outcome === 'reserved') return;
  if (outcome === 'replayed') throw new Refused(IDENTITY_REFUSALS.nonce_replayed);
  if (outcome === 'forgotten') throw new Refused(IDENTITY_REFUSALS.signature_predates_start);
  if (outcome === 'full') throw new Refused(IDENTITY_REFUSALS.nonce_store_full);
  throw new Refused(IDENTITY_REFUSALS.nonce_store_unavailable);
}

function reserveNonce(
  claimant: Claimant,
  { claim, caller }: Proven,
  ports: IdentityPorts,
): undefined | Promise<void> {
  const nowMs = ports.now();
  const { params } = claim.signature;
  // A key, a thread or a body may have been waited for longer than the signature is valid, and a nonce reserved until a
  // moment that has passed guards nothing.
  checkTime(params, nowMs / 1_000, claim.time);
  const expiresAtMs = claim.acceptableUntil * 1_000;
  const aheadMs = claim.skewSeconds * 1_000;
  const { nonce = '', created = 0 } = params;
  // A restart refuses by its own clock what was dated before it; what is dated ahead, only by this note.
  if (!ports.nonces.noteCreated(created) && created * 1_000 > nowMs) answerNonce('unavailable');
  const settle = (outcome: NonceOutcome): void => {
    // The shared store is away and this node has not seen the nonce; a route may accept that for safe methods.
    const goOn = claimant.nonceDownPolicy === 'refuse_unsafe' && isSafeMethod(claimant.view.method);
    if (outcome !== 'unavailable' || !goOn) answerNonce(outcome);
  };
  const outcome = ports.nonces.reserve(
    { did: caller.did, key: caller.keyThumbprint, nonce, createdSeconds: created, aheadMs, expiresAtMs },
    nowMs,
  );
  if (outcome instanceof Promise) return outcome.then(settle);
  settle(outcome);
  return undefined;
}

/** After a wait: a key revoked meanwhile must not pass. */
function checkStands(key: ResolvedKey, ports: IdentityPorts): void {
  if (!ports.keys.stands(key)) throw new DidError('key_withdrawn', 'the keys of this DID changed meanwhile');
}

async function proveBody(claimant: Claimant, source: Readable, settings: IdentitySettings): Promise<Buffer> {
  const body = await readBody(source, claimant.declaredBytes, settings.body, settings.budget);
  try {
    checkContentDigest(claimant.view.fields.value('content-digest') ?? '', body);
  } catch (error) {
    settings.budget.heldBytes -= body.length;
    throw error;
  }
  return body;
}

async function identifyWithBody(
  claimant: Claimant,
  proven: Proven,
  settings: IdentitySettings,
  ports: IdentityPorts,
): Promise<Identified> {
  const { source, view, streamed } = claimant;
  const { key, caller } = proven;
  if (source === null) throw new TypeError('identifyWithBody is for requests with a body');
  if (streamed) {
    const proof = digestCheck(view.fields.value('content-digest') ?? '');
    await reserveNonce(claimant, proven, ports);
    checkStands(key, ports);
    return { caller, body: null, proof };
  }
  const body = await proveBody(claimant, source, settings);
  try {
    await reserveNonce(claimant, proven, ports);
    checkStands(key, ports);
  } catch (error) {
    settings.budget.heldBytes -= body.length;
    throw error;
  }
  return { caller, body, proof: null };
}

/** What follows a signature that verified: body, digest, nonce. */
function complete(
  claimant: Claimant,
  proven: Proven,
  settings: IdentitySettings,
  ports: IdentityPorts,
): Identified | Promise<Identified> {
  const { claim, key, caller } = proven;
  if (claimant.source !== null) return identifyWithBody(claimant, proven, settings, ports);
  if (claim.signature.covered.has(CONTENT_DIGEST))
    checkContentDigest(claimant.view.fields.value('content-digest') ?? '', NOTHING);
  const reserving = reserveNonce(claimant, proven, ports);
  const identified: Identified = { caller, body: null, proof: null };
  if (reserving === undefined) return identified;
  return reserving.then(() => {
    checkStands(key, ports);
    return identified;
  });
}

/** Turns the errors of `trust` into refusals; anything else is ours and goes on as it is. */
export function toRefusal(error: unknown): unknown {
  if (error instanceof WireError) return refusedByWire(error);
  if (error instanceof DidError) return refusedByDid(error);
  if (error instanceof VerificationBusy) return new Refused(IDENTITY_REFUSALS.verification_busy);
  return error;
}

/**
 * Identifies the caller of one request; answers at once when key and nonce are at hand.
 * @throws {WireError | DidError | Refused} see `toRefusal`; nothing has been forwarded then.
 */
export function identify(
  claimant: Claimant,
  settings: IdentitySettings,
  ports: IdentityPorts,
): Identified | Promise<Identified> {
  const { view, source, profiles } = claimant;
  const facts = { hasBody: source !== null, safeMethod: isSafeMethod(view.method) };
  const claims = readClaims(profiles, view, facts, settings, ports);
  const proven = proveAny(claimant, claims, ports);
  if (proven instanceof Promise) return proven.then((one) => complete(claimant, one, settings, ports));
  return complete(claimant, proven, settings, ports);
}
