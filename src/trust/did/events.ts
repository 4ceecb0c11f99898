/** What the resolver tells the world; published only when somebody listens. */
import { channel } from 'node:diagnostics_channel';
import { DidError, type DidErrorCode } from './errors.ts';
import type { AheadOutcome, AheadReason } from './read-ahead.ts';

export const DID_RESOLUTION = 'sage:did.resolution';
export const DID_PURGE = 'sage:did.purge';

export type Tier = 'memory' | 'redis' | 'chain' | 'web' | 'offline';

/** Published on `sage:did.resolution` once for every `find`. */
export interface DidResolutionEvent {
  /** The tier that gave the answer, or that was asked last. */
  readonly tier: Tier;
  /** How long it took in milliseconds; 0 for memory, where reading a clock would cost more than the look-up. */
  readonly ms: number;
  readonly outcome: 'found' | DidErrorCode;
}

/** `document`: a fresh document lacked a key that memory held, though no event had told of it. `denied`: by an operator. `clock`: it was set back. */
export type PurgeReason =
  | 'chain'
  | 'peer'
  | 'operator'
  | 'denied'
  | 'shared_cache_lost'
  | 'document'
  | 'clock';

/** Published on `sage:did.purge`. */
export interface DidPurgeEvent {
  /** The DID purged, or null when every chain key was. */
  readonly did: string | null;
  readonly reason: PurgeReason;
  /** The block of the change, when a chain told of it; else null. */
  readonly blockNumber: number | null;
}

const didResolution = channel(DID_RESOLUTION);
const didPurge = channel(DID_PURGE);

/** Shared by all hits, so that telling of them costs no memory. */
const MEMORY_HIT: DidResolutionEvent = Object.freeze({ tier: 'memory', ms: 0, outcome: 'found' });

export function tellHit(): void {
  if (didResolution.hasSubscribers) didResolution.publish(MEMORY_HIT);
}

export function tellResolution(tier: Tier, ms: number, outcome: DidResolutionEvent['outcome']): void {
  if (didResolution.hasSubscribers) didResolution.publish({ tier, ms, outcome });
}

/** Tells of a failed look-up, and hands the error back to be thrown. */
export function tellMiss(tier: Tier, ms: number, error: unknown): unknown {
  if (error instanceof DidError) tellResolution(tier, ms, error.code);
  return error;
}

export function tellPurge(did: string | null, reason: PurgeReason, blockNumber: number | null): void {
  if (didPurge.hasSubscribers) didPurge.publish({ did, reason, blockNumber } satisfies DidPurgeEvent);
}

/** Published on `sage:did.read_ahead` for each document that was read, or not, before anybody waited for it. */
export interface DidReadAheadEvent {
  readonly reason: AheadReason;
  readonly outcome: AheadOutcome;
}

const didReadAhead = channel('sage:did.read_ahead');

export function tellReadAhead(reason: AheadReason, outcome: AheadOutcome): void {
  if (didReadAhead.hasSubscribers) didReadAhead.publish({ reason, outcome } satisfies DidReadAheadEvent);
}

/** Published on `sage:revocation` by every node once it denies a caller, and on `sage:revocation.lifted` once no more. */
export interface RevocationEvent {
  readonly id: string;
  readonly did: string;
  readonly keyId: string | null;
  readonly reason: string;
  /** Who revoked it; a lifting leaves no row to say who did that. */
  readonly by: string;
}

export const revocationMade = channel('sage:revocation');
export const revocationLifted = channel('sage:revocation.lifted');
