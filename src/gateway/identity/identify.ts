/**
 * From a signed request to a `Caller`, or a refusal. The order is the defence: what costs nothing comes first, the
 * signature before the body, the body's digest before the nonce, and the nonce last, because whoever could store
 * nonces before verification could lock a caller out (RFC 9421, section 7.2.2).
 */
import type { Readable } from 'node:stream';
import type { NonceOutcome, NonceUse } from '../../store/nonces.ts';
import { type ParsedKeyId, parseKeyId } from '../../trust/did/did-url.ts';
import { DidError } from '../../trust/did/errors.ts';
import type { ResolvedKey } from '../../trust/did/resolver.ts';
import type { SignatureAlgorithm } from '../../trust/keys/key.ts';
import { latin1Text } from '../../trust/wire/bytes.ts';
import { checkContentDigest, type DigestCheck, digestCheck } from '../../trust/wire/content-digest.ts';
import { WireError } from '../../trust/wire/errors.ts';
import type { RequestView } from '../../trust/wire/message.ts';
import { checkMessageShape } from '../../trust/wire/shape.ts';
import { type Signature, selectSignature } from '../../trust/wire/signature-input.ts';
import {
  acceptableUntil,
  checkAlgorithmAgrees,
  checkAlgorithmSupported,
  checkCoverage,
  checkTime,
  signatureBase,
} from '../../trust/wire/verify.ts';
import { Refused } from '../refusal.ts';
import { type BodyBudget, type BodyLimits, readBody } from './body.ts';
import type { Caller } from './caller.ts';
import { IDENTITY_REFUSALS, refusedByDid, refusedByWire } from './errors.ts';

/** What identity needs from the other rooms; `app.ts` hands it in. */
export interface IdentityPorts {
  readonly keys: {
    find(keyId: ParsedKeyId, options: { readonly safeMethod: boolean }): ResolvedKey | Promise<ResolvedKey>;
    admit(resolved: ResolvedKey): boolean;
    /** Whether what `admit` checked still holds; asked again after every wait. */
    stands(resolved: ResolvedKey): boolean;
  };
  readonly nonces: {
    /** Whether a signature made at that moment may have been used before this process could remember it. */
    mayPredateMemory(createdSeconds: number): boolean;
    reserve(use: NonceUse, nowMs: number): NonceOutcome | Promise<NonceOutcome>;
    /** Notes that a signature of that date is about to be accepted, so that a restart refuses it; false when it cannot. */
    noteCreated(createdSeconds: number): boolean;
  };
  readonly now: () => number;
}

export interface IdentitySettings {
  readonly maxAgeSeconds: number;
  readonly skewSeconds: number;
  readonly algorithms: ReadonlySet<SignatureAlgorithm>;
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
/** Evidence in a problem document; a base longer than this helps nobody. */
const SHOWN_BASE_LENGTH_MAX = 2_048;

function isSafeMethod(method: string): boolean {
  return SAFE_METHODS.has(method);
}

/** Steps that read only what the caller sent: shape, one signature, time, coverage, algorithm, key id. */
function readClaim(
  claimant: Claimant,
  settings: IdentitySettings,
  ports: IdentityPorts,
  nowMs: number,
): Signature {
  const { view } = claimant;
  checkMessageShape(view);
  const signature = selectSignature(view);
  if (signature === null) throw new Refused(IDENTITY_REFUSALS.signature_required);
  checkTime(signature.params, nowMs / 1_000, settings);
  checkCoverage(signature, view, { hasBody: claimant.source !== null });
  checkAlgorithmSupported(signature.params, settings.algorithms);
  if (ports.nonces.mayPredateMemory(signature.params.created ?? 0)) {
    throw new Refused(IDENTITY_REFUSALS.signature_predates_start);
  }
  return signature;
}

function refusedBase(view: RequestView, base: Uint8Array): Refused {
  return new Refused(IDENTITY_REFUSALS.signature_invalid, {
    explanation: `the signature does not verify over the base that was expected for ${view.method} ${view.target}`,
    evidence: { signature_base: latin1Text(base.subarray(0, SHOWN_BASE_LENGTH_MAX)) },
  });
}

/** The signature itself; afterwards, and only then, the key may enter the cache. */
function verifySignature(
  claimant: Claimant,
  signature: Signature,
  key: ResolvedKey,
  settings: IdentitySettings,
  ports: IdentityPorts,
): Caller {
  const { algorithm } = key.key;
  if (!settings.algorithms.has(algorithm)) throw new WireError('algorithm_unsupported', algorithm);
  checkAlgorithmAgrees(signature.params, algorithm);
  const base = signatureBase(signature, claimant.view);
  const startedAt = performance.now();
  const verified = key.key.verify(base, signature.signature);
  claimant.onChecked((performance.now() - startedAt) * 1_000);
  if (!verified) throw refusedBase(claimant.view, base);
  // False when the DID was purged since the key was fetched: a revoked key must not pass even once.
  if (!ports.keys.admit(key))
    throw new DidError('key_withdrawn', 'the keys of this DID changed while it was checked');
  const caller: Caller = {
    did: key.did,
    keyId: key.keyId,
    keyThumbprint: key.key.thumbprint,
    method: 'signature',
    algorithm,
    covered: signature.covered,
    validUntilMs: key.validUntilMs,
  };
  claimant.onIdentified(caller);
  return caller;
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
  signature: Signature,
  caller: Caller,
  settings: IdentitySettings,
  ports: IdentityPorts,
): undefined | Promise<void> {
  const nowMs = ports.now();
  const expiresAtMs = acceptableUntil(signature.params, settings) * 1_000;
  const { nonce = '', created = 0 } = signature.params;
  // A restart refuses by its own clock what was dated before it; what is dated ahead, only by this note.
  if (!ports.nonces.noteCreated(created) && created * 1_000 > nowMs) answerNonce('unavailable');
  const settle = (outcome: NonceOutcome): void => {
    // The shared store is away and this node has not seen the nonce; a route may accept that for safe methods.
    const goOn = claimant.nonceDownPolicy === 'refuse_unsafe' && isSafeMethod(claimant.view.method);
    if (outcome !== 'unavailable' || !goOn) answerNonce(outcome);
  };
  const outcome = ports.nonces.reserve(
    { did: caller.did, keyId: caller.keyId, nonce, createdSeconds: created, expiresAtMs },
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
  signature: Signature,
  key: ResolvedKey,
  caller: Caller,
  settings: IdentitySettings,
  ports: IdentityPorts,
): Promise<Identified> {
  const { source, view, streamed } = claimant;
  if (source === null) throw new TypeError('identifyWithBody is for requests with a body');
  if (streamed) {
    const proof = digestCheck(view.fields.value('content-digest') ?? '');
    await reserveNonce(claimant, signature, caller, settings, ports);
    checkStands(key, ports);
    return { caller, body: null, proof };
  }
  const body = await proveBody(claimant, source, settings);
  try {
    // A body may take longer to arrive than its signature is valid, and a nonce reserved until a moment that has
    // passed guards nothing.
    checkTime(signature.params, ports.now() / 1_000, settings);
    await reserveNonce(claimant, signature, caller, settings, ports);
    checkStands(key, ports);
  } catch (error) {
    settings.budget.heldBytes -= body.length;
    throw error;
  }
  return { caller, body, proof: null };
}

function prove(
  claimant: Claimant,
  signature: Signature,
  key: ResolvedKey,
  settings: IdentitySettings,
  ports: IdentityPorts,
): Identified | Promise<Identified> {
  const caller = verifySignature(claimant, signature, key, settings, ports);
  if (claimant.source !== null) return identifyWithBody(claimant, signature, key, caller, settings, ports);
  if (signature.covered.has(CONTENT_DIGEST))
    checkContentDigest(claimant.view.fields.value('content-digest') ?? '', NOTHING);
  const reserving = reserveNonce(claimant, signature, caller, settings, ports);
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
  const nowMs = ports.now();
  const signature = readClaim(claimant, settings, ports, nowMs);
  const keyId = parseKeyId(signature.params.keyid ?? '');
  const found = ports.keys.find(keyId, { safeMethod: isSafeMethod(claimant.view.method) });
  if (found instanceof Promise) return found.then((key) => prove(claimant, signature, key, settings, ports));
  return prove(claimant, signature, found, settings, ports);
}
