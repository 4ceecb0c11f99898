/**
 * What must hold of a signature before its key is worth asking for, and the bytes the key is asked about
 * (RFC 9421, sections 2.5 and 3.2). In this order: algorithm, time, coverage, base.
 */
import { type Bytes, latin1Bytes } from './bytes.ts';
import { componentValue } from './component-value.ts';
import type { Component } from './components.ts';
import { WireError } from './errors.ts';
import type { MessageView, RequestView } from './message.ts';
import type { Signature, SignatureParams } from './signature-input.ts';

/** How long after `created` a signature counts. */
const MAX_AGE_SECONDS = 60;
/** How far the caller's clock may be from ours. */
const SKEW_SECONDS = 5;

export interface TimeBounds {
  readonly maxAgeSeconds?: number;
  readonly skewSeconds?: number;
  /** How long after `expires` a signature still counts: 0, unless a profile's text grants more. */
  readonly expiresGraceSeconds?: number;
  /** The longest that `expires` may lie after `created`; without it any. */
  readonly lifetimeMaxSeconds?: number;
}

/**
 * `created` is required, not in the future and not too old; `expires` is honoured to the second: the signer
 * chose it, so no skew is granted.
 * @param nowSeconds seconds since the epoch, fractions allowed
 * @throws {WireError} parameter_missing, created_in_future, signature_too_old, signature_expired, lifetime_invalid
 */
export function checkTime(
  params: Readonly<SignatureParams>,
  nowSeconds: number,
  bounds: TimeBounds = {},
): void {
  const { maxAgeSeconds = MAX_AGE_SECONDS, skewSeconds = SKEW_SECONDS } = bounds;
  const { expiresGraceSeconds = 0, lifetimeMaxSeconds = Number.POSITIVE_INFINITY } = bounds;
  const { created, expires } = params;
  if (created === undefined) throw new WireError('parameter_missing', 'created');
  // Written so that a clock that is not a number refuses.
  if (!(created <= nowSeconds + skewSeconds)) throw new WireError('created_in_future', String(created));
  if (!(nowSeconds <= created + maxAgeSeconds + skewSeconds))
    throw new WireError('signature_too_old', String(created));
  if (expires === undefined) return;
  if (!(nowSeconds <= expires + expiresGraceSeconds))
    throw new WireError('signature_expired', String(expires));
  if (
    lifetimeMaxSeconds < Number.POSITIVE_INFINITY &&
    !(expires > created && expires - created <= lifetimeMaxSeconds)
  )
    throw new WireError('lifetime_invalid', String(expires));
}

/**
 * How long a nonce must be remembered, in seconds since the epoch: a second beyond the last moment at which
 * `checkTime` accepts, because that moment is included and stores round.
 */
export function acceptableUntil(params: Readonly<SignatureParams>, bounds: TimeBounds = {}): number {
  const { maxAgeSeconds = MAX_AGE_SECONDS, skewSeconds = SKEW_SECONDS, expiresGraceSeconds = 0 } = bounds;
  const byAge = (params.created ?? 0) + maxAgeSeconds + skewSeconds;
  return Math.min(byAge, (params.expires ?? byAge) + expiresGraceSeconds) + 1;
}

/**
 * Before any key is looked up: is the algorithm it names, if it names one, any of ours?
 * @throws {WireError} algorithm_unsupported
 */
export function checkAlgorithmSupported(
  params: Readonly<SignatureParams>,
  supported: { has(name: string): boolean },
): void {
  if (params.alg !== undefined && !supported.has(params.alg)) {
    throw new WireError('algorithm_unsupported', params.alg);
  }
}

/**
 * The algorithm is the key's; `alg` can agree with it, never choose it (sections 3.2, step 6, and 7.3.6).
 * @throws {WireError} algorithm_mismatch
 */
export function checkAlgorithmAgrees(params: Readonly<SignatureParams>, keyAlgorithm: string): void {
  if (params.alg !== undefined && params.alg !== keyAlgorithm) {
    throw new WireError('algorithm_mismatch', params.alg);
  }
}

export interface CoverageRequirement {
  /** Whether content follows: then its digest has to be covered. */
  readonly hasBody: boolean;
}

/**
 * What a request's signature must cover, so that it fits this request and no other (section 7.2.1). A component
 * counts only with its exact parameters: `"content-digest";key="sha-256"` is not `"content-digest"`.
 * @throws {WireError} parameter_missing, coverage_insufficient
 */
export function checkCoverage(
  signature: Signature,
  view: RequestView,
  requirement: CoverageRequirement,
): void {
  const { params, covered } = signature;
  if (params.created === undefined) throw new WireError('parameter_missing', 'created');
  if (params.keyid === undefined) throw new WireError('parameter_missing', 'keyid');
  if (params.nonce === undefined) throw new WireError('parameter_missing', 'nonce');
  mustCover(covered, '"@method"');
  if (!covered.has('"@target-uri"')) {
    // `@authority` alone would replay on any path, `@path` alone on any host.
    mustCover(covered, '"@authority"');
    mustCover(covered, '"@path"');
    if (view.queryAt >= 0) mustCover(covered, '"@query"');
  }
  if (requirement.hasBody) mustCover(covered, '"content-digest"');
  if (!covered.has('"authorization"') && view.fields.has('authorization'))
    mustCover(covered, '"authorization"');
}

/** @throws {WireError} coverage_insufficient */
export function mustCover(covered: ReadonlySet<string>, identifier: string): void {
  if (!covered.has(identifier)) throw new WireError('coverage_insufficient', identifier);
}

/**
 * The signature base (section 2.5) of a received signature, as the bytes its key verifies.
 * @throws {WireError} as `componentValue` does
 */
export function signatureBase(
  signature: Pick<Signature, 'components' | 'paramsLine'>,
  view: MessageView,
): Bytes {
  return baseOf(signature.components, signature.paramsLine, view);
}

/** The same before there is a signature. @throws {WireError} as `componentValue` does */
export function baseOf(components: readonly Component[], paramsLine: string, view: MessageView): Bytes {
  let text = '';
  for (const component of components) text += `${component.identifier}: ${componentValue(component, view)}\n`;
  // Every piece is ASCII by now: values were checked, identifiers and parameters are structured fields.
  return latin1Bytes(`${text}"@signature-params": ${paramsLine}`);
}
