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
import type { ProfileName } from '../../trust/profiles/profile.ts';
import { checkContentDigest, type DigestCheck, digestCheck } from '../../trust/wire/content-digest.ts';
import { WireError } from '../../trust/wire/errors.ts';
import type { RequestView } from '../../trust/wire/message.ts';
import { checkTime } from '../../trust/wire/verify.ts';
import { Refused } from '../refusal.ts';
import { type BodyBudget, type BodyLimits, readBody } from './body.ts';
import type { Caller } from './caller.ts';
import { readClaims } from './claims.ts';
import { IDENTITY_REFUSALS, refusedByDid, refusedByWire } from './errors.ts';
import { isSafeMethod, type Proven, prove } from './prove.ts';

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

const CONTENT_DIGEST = '"content-digest"';
const NOTHING = Buffer.alloc(0);
/** SHA-256 takes 35 us for as much, about one verification. */
const HASHED_AT_ONCE_BYTES = 65_536;
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

/** A long body is hashed in parts, between which other requests have their turn. */
async function checkDigest(field: string, body: Buffer): Promise<void> {
  if (body.length <= HASHED_AT_ONCE_BYTES) {
    checkContentDigest(field, body);
    return;
  }
  const check = digestCheck(field);
  for (let at = 0; at < body.length; at += HASHED_AT_ONCE_BYTES) {
    check.update(body.subarray(at, at + HASHED_AT_ONCE_BYTES));
    await breathe();
  }
  if (!check.matches()) throw new WireError('digest_mismatch');
}

async function proveBody(claimant: Claimant, source: Readable, settings: IdentitySettings): Promise<Buffer> {
  const body = await readBody(source, claimant.declaredBytes, settings.body, settings.budget);
  try {
    await checkDigest(claimant.view.fields.value('content-digest') ?? '', body);
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
  const proven = prove(claimant, claims, ports);
  if (proven instanceof Promise) return proven.then((one) => complete(claimant, one, settings, ports));
  return complete(claimant, proven, settings, ports);
}
