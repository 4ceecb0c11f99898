/**
 * Nonces, each accepted once. A nonce is reserved after its signature has been verified (who could store nonces
 * before could lock a caller out) and kept until no node can accept that signature any more.
 */
import { hash } from 'node:crypto';
import { FULL } from './memory/region.ts';
import type { Table } from './memory/table.ts';
import type { RedisStore } from './redis/connection.ts';

/**
 * - `reserved`: never seen; go on.
 * - `replayed`: seen; refuse.
 * - `full`: there is no room to remember it, so it cannot be accepted; 503.
 * - `unavailable`: Redis cannot be asked and this node alone has not seen it; refuse, unless the route says
 *   otherwise. The nonce is spent on this node, so the caller must sign anew.
 */
export type NonceOutcome = 'reserved' | 'replayed' | 'full' | 'unavailable';

export interface NonceStore {
  /**
   * Signatures created before this moment cannot be told from replays. Milliseconds since the epoch, and not
   * constant: a Redis that restarts forgets. After the start of this process alone, signatures dated ahead of the
   * clock need care of their own, for nothing here knows what an earlier process accepted.
   */
  readonly remembersSinceMs: number;
  /** @param expiresAtMs the last moment at which this signature could be accepted, skew included. */
  reserve(
    did: string,
    keyId: string,
    nonce: string,
    expiresAtMs: number,
    nowMs: number,
  ): NonceOutcome | Promise<NonceOutcome>;
}

/** "The last moment" is inclusive, and a worker's clock reading may be a little older than another's. */
const MEMORY_MARGIN_MS = 1_000;
/** Between machines, clocks differ more: a node that is this much behind still accepts the signature. */
const REDIS_MARGIN_MS = 10_000;

export function createMemoryNonces(table: Table): NonceStore {
  return {
    remembersSinceMs: table.startedAtMs,
    reserve: (did, keyId, nonce, expiresAtMs, nowMs) =>
      reserveHere(table, nameOf(did, keyId, nonce), expiresAtMs, nowMs),
  };
}

/**
 * Nonces all nodes share. This node's table is asked first: it refuses a replay without a round trip, and it
 * remembers what this node accepted should Redis go away.
 */
export function createSharedNonces(table: Table, redis: RedisStore): NonceStore {
  return {
    get remembersSinceMs() {
      return redis.usable() && redis.nonceFault() === '' ? redis.remembersSinceMs() : table.startedAtMs;
    },
    reserve(did, keyId, nonce, expiresAtMs, nowMs) {
      const name = nameOf(did, keyId, nonce);
      if (reserveHere(table, name, expiresAtMs, nowMs) === 'replayed') return 'replayed';
      // A full table is no matter while Redis remembers.
      if (!redis.usable() || redis.nonceFault() !== '') return 'unavailable';
      return reserveThere(redis, name, Math.max(0, expiresAtMs - nowMs) + REDIS_MARGIN_MS);
    },
  };
}

/** Lengths go first, so that no two triples read the same whatever their parts hold. */
function nameOf(did: string, keyId: string, nonce: string): string {
  return `${did.length}.${keyId.length}.${did}${keyId}${nonce}`;
}

const keepFirst = (value: number, _now: number, expiresAtMs: number) => (value === 0 ? expiresAtMs : value);

function reserveHere(table: Table, name: string, expiresAtMs: number, nowMs: number): NonceOutcome {
  const until = Math.max(expiresAtMs, nowMs) + MEMORY_MARGIN_MS;
  const before = table.nonces.update(table.tag(name), nowMs, keepFirst, until, 0);
  if (before === 0) return 'reserved';
  return before === FULL ? 'full' : 'replayed';
}

/**
 * The time to live is relative. An absolute one (PXAT) is judged by the clock of Redis: were that ahead of ours,
 * the key would be born expired and every replay would pass.
 */
async function reserveThere(redis: RedisStore, name: string, ttlMs: number): Promise<NonceOutcome> {
  const key = `${redis.prefix}nonce:${hash('sha256', name, 'base64url')}`;
  try {
    const answer = await redis.run((client) => client.set(key, '1', 'PX', Math.ceil(ttlMs), 'NX'));
    return answer === 'OK' ? 'reserved' : 'replayed';
  } catch (error) {
    // `noeviction` answers a full memory with an error, which is what it is wanted for.
    return error instanceof Error && error.message.startsWith('OOM') ? 'full' : 'unavailable';
  }
}
