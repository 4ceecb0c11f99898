/**
 * Who called most often before a restart is read ahead after it, so that all of them do not wait for the chain at once.
 *
 * Names are kept, no keys: what a database holds lets nobody in. The documents are read anew, from the chain or from what
 * the nodes share, and their keys enter memory as all do, with the first signature that verifies. Whoever could write
 * these rows could have the gateway read the documents of others, and that is all.
 */
import type { FrequentDidRows } from '../../store/database.ts';
import type { Resolver } from './resolver.ts';

/** At 50 a second they are read in twenty seconds. */
const DIDS_MAX = 1_000;
/** For the process that is killed; one that stops saves once more. */
const SAVE_EVERY_MS = 300_000;
/** What no node has noted again for so long is not frequent any more. */
const KEEP_MS = 3_600_000;

export interface WarmUpOptions {
  readonly rows: FrequentDidRows;
  readonly resolver: Pick<Resolver, 'warm' | 'mostFrequent'>;
  readonly log: { warn(fields: object, message: string): void };
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface WarmUp {
  /** The chain is followed: what stands there is read ahead, in the background. */
  begin(chainId: number): void;
  /** Keeps who called most often. Never rejects. */
  close(): Promise<void>;
}

export function openWarmUp({ rows, resolver, log, now }: WarmUpOptions): WarmUp {
  const stored = rows.load(DIDS_MAX).catch((error: unknown) => {
    log.warn({ err: error }, 'who called most often was not read: nothing is read ahead');
    return [];
  });
  let saving: Promise<void> | null = null;

  async function save(): Promise<void> {
    const dids = resolver.mostFrequent(DIDS_MAX);
    // Nobody has called yet: what is known from before stays.
    if (dids.length === 0) return;
    const nowMs = now();
    try {
      await rows.save(dids, nowMs, { rows: DIDS_MAX, sinceMs: nowMs - KEEP_MS });
    } catch (error) {
      log.warn({ err: error }, 'who called most often was not kept');
    }
  }
  function saveOnce(): Promise<void> {
    saving ??= save().finally(() => {
      saving = null;
    });
    return saving;
  }

  const timer = setInterval(() => void saveOnce(), SAVE_EVERY_MS);
  return {
    begin(chainId) {
      void stored.then((dids) => resolver.warm(chainId, dids));
    },
    async close() {
      clearInterval(timer);
      await saveOnce();
    },
  };
}
