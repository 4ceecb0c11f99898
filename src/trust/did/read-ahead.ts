/**
 * Documents that are read before anybody waits for them: of callers who call often, when their time is nearly up or a
 * change has purged them, and of those who did before a restart. At a bounded rate, and only while callers leave room.
 */
import { LRUCache } from 'lru-cache';
import { tellReadAhead } from './events.ts';

export type AheadReason = 'expiry' | 'purge' | 'warm_up';
/** `dropped`: not asked, or not kept because it was purged meanwhile or the watcher lost sight. */
export type AheadOutcome = 'kept' | 'failed' | 'dropped';

/** DIDs that wait. More are not worth it: those who call first read for themselves. */
const WAITING_MAX = 1_024;
/** At once; callers may have 64. */
const RUNNING_MAX = 4;
/** 50 a second: 10,000 DIDs, all that memory holds, in less than the five minutes that their keys last. */
const INTERVAL_MS = 20;
const BURST = 16;
/** How soon to look again when it is too early, or callers need the chain. */
const NOT_NOW_MS = 50;
/** Between two readings of a DID whose time is nearly up, when the first failed. */
const RETRY_MS = 5_000;

export interface ReadAheadOptions {
  /** Reads a document and keeps it. */
  read(did: string): Promise<AheadOutcome>;
  /** Whether callers leave room for it. */
  hasRoom(): boolean;
  readonly monotonicNow: () => number;
}

export class ReadAhead {
  readonly #options: ReadAheadOptions;
  /** Those who are here, and those who may come back. */
  readonly #soon = new Map<string, AheadReason>();
  readonly #later = new Map<string, AheadReason>();
  readonly #begunAtMs = new LRUCache<string, number>({ max: WAITING_MAX });
  #running = 0;
  #nextAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
  }

  /** Never throws, and tells nobody but `sage:did.read_ahead` what comes of it. */
  ask(did: string, reason: AheadReason): void {
    if (this.#closed || this.#soon.has(did) || this.#later.has(did)) return;
    const begunAtMs = this.#begunAtMs.get(did) ?? Number.NEGATIVE_INFINITY;
    if (reason === 'expiry' && this.#options.monotonicNow() - begunAtMs < RETRY_MS) return;
    if (this.#soon.size + this.#later.size >= WAITING_MAX) {
      tellReadAhead(reason, 'dropped');
      return;
    }
    (reason === 'warm_up' ? this.#later : this.#soon).set(did, reason);
    this.#pump();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#soon.clear();
    this.#later.clear();
  }

  #pump(): void {
    while (!this.#closed && this.#running < RUNNING_MAX) {
      const queue = this.#soon.size > 0 ? this.#soon : this.#later;
      const [next] = queue;
      if (next === undefined) return;
      const nowMs = this.#options.monotonicNow();
      const waitMs = this.#nextAtMs - BURST * INTERVAL_MS - nowMs;
      if (waitMs > 0 || !this.#options.hasRoom()) {
        this.#pumpIn(Math.max(waitMs, NOT_NOW_MS));
        return;
      }
      this.#nextAtMs = Math.max(this.#nextAtMs, nowMs) + INTERVAL_MS;
      const [did, reason] = next;
      queue.delete(did);
      this.#begunAtMs.set(did, nowMs);
      void this.#run(did, reason);
    }
  }

  #pumpIn(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, ms);
  }

  async #run(did: string, reason: AheadReason): Promise<void> {
    this.#running += 1;
    let outcome: AheadOutcome = 'failed';
    try {
      outcome = await this.#options.read(did);
    } catch {
      // Whoever calls next asks again, and is told why it fails.
    }
    this.#running -= 1;
    tellReadAhead(reason, outcome);
    this.#pump();
  }
}
