/**
 * Nonces, each accepted once. A nonce is reserved after its signature has been verified (who could store nonces
 * before could lock a caller out) and kept until no node can accept that signature any more.
 */
import { hash } from 'node:crypto';
import { FULL } from './memory/region.ts';
import type { SteadyClock } from './memory/steady.ts';
import type { Table } from './memory/table.ts';
import type { RedisStore, StoreLog } from './redis/connection.ts';

/**
 * - `reserved`: never seen; go on.
 * - `replayed`: seen; refuse.
 * - `forgotten`: what may have been seen is not known any more (a Redis that was flushed, a clock that stepped back);
 *   refuse, a signature made later is accepted.
 * - `full`: there is no room to remember it, so it cannot be accepted; 503.
 * - `unavailable`: Redis cannot be asked and this node alone has not seen it; refuse, unless the route says
 *   otherwise. The nonce is spent on this node, so the caller must sign anew; without room for it, it is `full`.
 */
export type NonceOutcome = 'reserved' | 'replayed' | 'forgotten' | 'full' | 'unavailable';

/** One use of a signature that has verified. */
export interface NonceUse {
  readonly did: string;
  /** Thumbprint of the key. Not its name: a document may name the same key otherwise while the signature is acceptable. */
  readonly key: string;
  readonly nonce: string;
  readonly createdSeconds: number;
  /** How far ahead of the clock such a signature is accepted; milliseconds. */
  readonly aheadMs: number;
  /** The last moment at which this signature could be accepted, skew included; milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

export interface NonceStore {
  /**
   * Signatures created before this moment cannot be told from replays. Milliseconds since the epoch, and not
   * constant: a Redis that restarts forgets. After the start of this process alone, signatures dated ahead of the
   * clock need care of their own, for nothing here knows what an earlier process accepted.
   */
  readonly remembersSinceMs: number;
  /** The same for signatures that are accepted so far ahead of their date: before a loss, some may have been. */
  remembersSince(aheadMs: number): number;
  /** Whether they outlive this process. */
  readonly shared: boolean;
  /** @param nowMs the wall clock, read just before */
  reserve(use: NonceUse, nowMs: number): NonceOutcome | Promise<NonceOutcome>;
  /** The part of this process's table that is in use, 0 to 1; an estimate. */
  fill(): number;
}

export interface NonceClock {
  /** Milliseconds that never step, the same for all threads of the process. */
  readonly monotonicNow: () => number;
  readonly log: Pick<StoreLog, 'warn'>;
}

/** "The last moment" is inclusive, and a worker's clock reading may be a little older than another's. */
const MEMORY_MARGIN_MS = 1_000;
/** Between machines, clocks differ more: a node that is this much behind still accepts the signature. */
const REDIS_MARGIN_MS = 10_000;

export function createMemoryNonces(table: Table, clock: NonceClock): NonceStore {
  const steady = steadyClock(table, clock);
  return {
    remembersSinceMs: table.startedAtMs,
    remembersSince: () => table.startedAtMs,
    shared: false,
    reserve: (use, nowMs) => reserveHere(table, steady, nameOf(use), use.expiresAtMs, nowMs),
    fill: () => table.nonces.fill(steady.now()),
  };
}

/**
 * Nonces all nodes share. This node's table is asked first: it refuses a replay without a round trip, and it
 * remembers what this node accepted should Redis go away.
 */
export function createSharedNonces(table: Table, redis: RedisStore, clock: NonceClock): NonceStore {
  const steady = steadyClock(table, clock);
  const remembersSince = (aheadMs: number): number =>
    redis.usable() && redis.nonceFault() === '' ? redis.remembersSinceMs(aheadMs) : table.startedAtMs;
  return {
    get remembersSinceMs() {
      return remembersSince(0);
    },
    remembersSince,
    shared: true,
    reserve(use, nowMs) {
      const name = nameOf(use);
      const here = reserveHere(table, steady, name, use.expiresAtMs, nowMs);
      if (here === 'replayed' || here === 'forgotten') return here;
      // A full table is no matter while Redis remembers; when nobody does, no route may go on.
      const alone = here === 'full' ? 'full' : 'unavailable';
      if (!redis.usable() || redis.nonceFault() !== '') return alone;
      // Asked before too, but a body may have been waited for since, and Redis have lost its memory meanwhile. Redis is
      // told which memory this answer is about, and reserves nothing in another.
      if (use.createdSeconds * 1_000 < redis.remembersSinceMs(use.aheadMs)) return 'forgotten';
      const ttlMs = Math.max(0, use.expiresAtMs - nowMs) + REDIS_MARGIN_MS;
      return reserveThere(redis, name, ttlMs, nowMs).then((there) =>
        there === 'unavailable' ? alone : there,
      );
    },
    fill: () => table.nonces.fill(steady.now()),
  };
}

function steadyClock(table: Table, { monotonicNow, log }: NonceClock): SteadyClock {
  return table.steadyClock(monotonicNow, (steppedBackMs) =>
    log.warn(
      { steppedBackMs },
      'the clock stepped back; signatures that may have been used before are refused until it has caught up',
    ),
  );
}

/** Lengths go first, so that no two triples read the same whatever their parts hold. */
function nameOf({ did, key, nonce }: NonceUse): string {
  return `${did.length}.${key.length}.${did}${key}${nonce}`;
}

const keepFirst = (value: number, _now: number, untilMs: number) => (value === 0 ? untilMs : value);

function reserveHere(
  table: Table,
  steady: SteadyClock,
  name: string,
  expiresAtMs: number,
  nowMs: number,
): NonceOutcome {
  if (steady.mayHaveForgotten(expiresAtMs, nowMs)) return 'forgotten';
  steady.accepting(expiresAtMs);
  const steadyMs = steady.now();
  const until = steadyMs + Math.max(0, expiresAtMs - nowMs) + MEMORY_MARGIN_MS;
  const before = table.nonces.update(table.tag(name), steadyMs, keepFirst, until, 0);
  if (before === 0) return 'reserved';
  return before === FULL ? 'full' : 'replayed';
}

/**
 * The time to live is relative. An absolute one (PXAT) is judged by the clock of Redis: were that ahead of ours,
 * the key would be born expired and every replay would pass.
 */
async function reserveThere(
  redis: RedisStore,
  name: string,
  ttlMs: number,
  nowMs: number,
): Promise<NonceOutcome> {
  try {
    return await redis.reserve(hash('sha256', name, 'base64url'), Math.ceil(ttlMs), nowMs);
  } catch (error) {
    // `noeviction` answers a full memory with an error, which is what it is wanted for.
    return error instanceof Error && error.message.includes('OOM') ? 'full' : 'unavailable';
  }
}
