/** What was accepted before, so that it is accepted once. */

/**
 * - `reserved`: never seen; go on.
 * - `replayed`: seen; refuse.
 * - `full`: there is no room to remember it, so it cannot be accepted.
 * Anything else, and an error, refuses as well: a store that cannot be asked lets nobody in.
 */
export type NonceOutcome = 'reserved' | 'replayed' | 'full';

export interface NonceToReserve {
  readonly keyId: string;
  /** As the caller chose it, at most 256 characters. */
  readonly nonce: string;
  /** Milliseconds since the epoch: the last moment at which this signature could be accepted. */
  readonly expiresAtMs: number;
  readonly nowMs: number;
}

/** Servers that share callers must share a store: for Redis, `SET key 1 PX ttl NX`. */
export interface NonceStore {
  /** Milliseconds since the epoch: of signatures made before it, this store cannot say whether they were used. 0 for one that outlives its processes. */
  readonly remembersSinceMs: number;
  reserve(entry: NonceToReserve): NonceOutcome | Promise<NonceOutcome>;
}

export interface NonceMemoryOptions {
  /** 100,000 when left out: 1,500 requests a second, each remembered for 66 seconds. */
  readonly maxEntries?: number;
  /**
   * Says that no earlier process accepted signatures for these origins, as in a test. Otherwise what is dated before the
   * start (and for the allowed clock skew after it) is refused, because nobody can tell whether it was used.
   */
  readonly noEarlierProcess?: boolean;
  /** Milliseconds since the epoch; `Date.now` when left out. */
  readonly now?: () => number;
}

const ENTRIES_MAX = 100_000;
/** Characters an entry may hold on average; a key id and a nonce of usual length are 140 together. */
const ENTRY_LENGTH = 320;
/** "The last moment" is inclusive, and a clock may be set back a little. */
const MARGIN_MS = 1_000;
/** Old entries dropped with each new one, so that the table shrinks as it is used. */
const SWEPT_AT_ONCE = 4;
/** A full table is looked through for old entries at most this often, in milliseconds. */
const SWEEP_EVERY_MS = 1_000;

/** Nonces in the memory of one process. Full means `full`: an entry is never pushed out by another. */
export function createNonceMemory(options: NonceMemoryOptions = {}): NonceStore {
  const { maxEntries = ENTRIES_MAX, noEarlierProcess = false, now = Date.now } = options;
  const entries = new Map<string, number>();
  let characters = 0;
  let sweptAtMs = Number.NEGATIVE_INFINITY;
  const sweep = (nowMs: number, most: number): void => {
    let seen = 0;
    // In the order they came, which is nearly the order in which they go.
    for (const [name, expiresAtMs] of entries) {
      seen += 1;
      if (seen > most) return;
      if (expiresAtMs >= nowMs) continue;
      entries.delete(name);
      characters -= name.length;
    }
  };
  const isFull = (): boolean => entries.size >= maxEntries || characters >= maxEntries * ENTRY_LENGTH;
  return {
    remembersSinceMs: noEarlierProcess ? 0 : now(),
    reserve({ keyId, nonce, expiresAtMs, nowMs }) {
      // The length goes first, so that no two pairs read the same.
      const name = `${keyId.length}.${keyId}${nonce}`;
      const known = entries.get(name);
      if (known !== undefined && known >= nowMs) return 'replayed';
      sweep(nowMs, SWEPT_AT_ONCE);
      if (isFull() && nowMs - sweptAtMs >= SWEEP_EVERY_MS) {
        sweptAtMs = nowMs;
        sweep(nowMs, Number.POSITIVE_INFINITY);
      }
      if (isFull()) return 'full';
      if (!entries.has(name)) characters += name.length;
      entries.set(name, expiresAtMs + MARGIN_MS);
      return 'reserved';
    },
  };
}
