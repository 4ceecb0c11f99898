/**
 * What chains took away, kept in the database, so that it outlives this process and is known to nodes that did not hear of
 * it. Redis may come back from a copy made before a revocation, with values that are authentic: they are held against these.
 *
 * Writing never holds up a purge: this node's own memory of purges (`withdrawals.ts`) has the change at once. What this can
 * do wrong is to have too much: then the chain is read once more.
 */
import type { TombstoneRow, TombstoneRows } from '../../store/database.ts';

/** As long as a keyid: no longer name is ever asked for. */
const DID_CHARACTERS_MAX = 512;
/** Changes that wait to be written; past it they are written as one of their whole chain. */
const WAITING_MAX = 4_096;
/** Rows of one transaction: some 10 ms for which other writers wait. */
const BATCH_ROWS = 256;
/** After a failure. */
const RETRY_MS = 1_000;
/**
 * Far longer than a shared value is believed by its age (five minutes), so that a clock that is wrong by hours changes
 * nothing; what is older need not be remembered, however final it was.
 */
const KEEP_MS = 86_400_000;
/** Rows in the database, some 200 bytes each. Anyone can change agents of his own. */
const ROWS_MAX = 100_000;
const TRIM_EVERY_MS = 60_000;

export interface TombstoneLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface Tombstones {
  /** Remembers a change; it is written soon. */
  note(row: TombstoneRow): void;
  /** The last change that concerns the DID. @throws when the database cannot say: then nothing shared is to be believed. */
  find(chainId: number, did: string): Promise<Pick<TombstoneRow, 'blockNumber' | 'blockHash'> | null>;
  /** Resolves once all that was noted is written. @throws when it cannot be just now; it is tried again. */
  written(): Promise<void>;
  /** Tries a last time to write. Never rejects. */
  close(): Promise<void>;
}

export interface TombstonesOptions {
  readonly rows: TombstoneRows;
  readonly log: TombstoneLog;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function openTombstones({ rows, log, now }: TombstonesOptions): Tombstones {
  const waiting = new Map<string, TombstoneRow>();
  let writing: Promise<void> | null = null;
  let retry: NodeJS.Timeout | undefined;
  let trimAtMs = 0;
  let closed = false;
  let failing = false;

  function put(row: TombstoneRow): void {
    const own = `${row.chainId} ${row.did}`;
    const fits = waiting.has(own) || waiting.size < WAITING_MAX;
    const kept = fits ? row : { ...row, did: '', blockHash: '' };
    const key = fits ? own : `${row.chainId} `;
    const known = waiting.get(key);
    if (known === undefined || kept.blockNumber > known.blockNumber) waiting.set(key, kept);
  }

  /** Once until it goes well again: a database that is away has its own alarms. */
  function failed(error: unknown): void {
    if (!failing) log.warn({ err: error }, 'changes on chain are not kept for a restart: the database');
    failing = true;
  }

  function wrote(): void {
    if (failing) log.info({}, 'changes on chain are kept again');
    failing = false;
  }

  async function trim(): Promise<void> {
    const nowMs = now();
    if (nowMs < trimAtMs) return;
    trimAtMs = nowMs + TRIM_EVERY_MS;
    await rows.trim({ rows: ROWS_MAX, sinceMs: nowMs - KEEP_MS }).catch(failed);
  }

  async function drain(): Promise<void> {
    // What else this block changed is told in the same turn, and written with it.
    await Promise.resolve();
    while (waiting.size > 0) {
      const batch = Array.from(waiting).slice(0, BATCH_ROWS);
      for (const [key] of batch) waiting.delete(key);
      try {
        await rows.note(
          batch.map(([, row]) => row),
          now(),
        );
      } catch (error) {
        for (const [, row] of batch) put(row);
        failed(error);
        if (!closed) retry = setTimeout(start, RETRY_MS);
        return;
      }
      wrote();
      await trim();
    }
  }

  function start(): void {
    clearTimeout(retry);
    retry = undefined;
    writing ??= drain().finally(() => {
      writing = null;
    });
  }

  return {
    note(row) {
      if (row.did.length > DID_CHARACTERS_MAX) return;
      put(row);
      if (retry === undefined) start();
    },
    find: (chainId, did) => rows.find(chainId, did),
    async written() {
      if (waiting.size > 0) start();
      await writing;
      if (waiting.size > 0) throw new Error('changes on chain could not be written to the database');
    },
    async close() {
      closed = true;
      if (waiting.size > 0) start();
      await writing;
      clearTimeout(retry);
    },
  };
}
