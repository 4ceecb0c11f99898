/**
 * Keeps what this process believes level with the rows of one topic: reads them as a whole at the start, and again
 * whenever the database says that they may have changed. A reading that fails leaves what was believed as it is, says so,
 * and is tried again until it succeeds.
 */
import type { Database, Topic } from './database.ts';
import type { StoreLog } from './redis/connection.ts';

/** Between tries while the database cannot be read: a healed one is heard within a second. */
const RETRY_MS = 1_000;

export interface RowFollowerOptions<T> {
  readonly database: Pick<Database, 'onChange'>;
  readonly topic: Topic;
  read(): Promise<T>;
  /** Puts what was read in force; readings never overlap. It answers for rows it cannot use, and does not throw for them. */
  apply(rows: T): void | Promise<void>;
  readonly log: Pick<StoreLog, 'warn' | 'info'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface RowFollower {
  /**
   * Resolves once everything that stood in the database when this was called is in force here.
   * @throws what the reading failed with; it is tried again all the same.
   */
  refresh(): Promise<void>;
  /** Since when changes may have been missed, milliseconds since the epoch; null when none can have been. */
  behindSinceMs(): number | null;
  /** Stops following, and waits for a reading under way. */
  close(): Promise<void>;
}

/** @throws what the first reading fails with: who begins without the rows would not know what they forbid. */
export async function followRows<T>(options: RowFollowerOptions<T>): Promise<RowFollower> {
  const { database, topic, log, now } = options;
  let running: Promise<void> | null = null;
  let queued: Promise<void> | null = null;
  let retry: NodeJS.Timeout | undefined;
  let behindSinceMs: number | null = null;
  let closed = false;

  const read = async (): Promise<void> => {
    clearTimeout(retry);
    const startedAtMs = now();
    try {
      const rows = await options.read();
      if (closed) return;
      await options.apply(rows);
      if (behindSinceMs !== null) log.info({ topic }, 'changes made by operators arrive again');
      behindSinceMs = null;
    } catch (error) {
      if (behindSinceMs === null)
        log.warn(
          { err: error, topic },
          'changes made by operators cannot be read; what was known stays in force',
        );
      behindSinceMs ??= startedAtMs;
      if (!closed) retry = setTimeout(hint, RETRY_MS);
      throw error;
    }
  };
  const start = (): Promise<void> => {
    running = read().finally(() => {
      running = null;
    });
    return running;
  };
  /** One reading at a time; who asks during one shares the next, which begins after he asked. */
  const refresh = (): Promise<void> => {
    if (running === null) return start();
    const next = (): Promise<void> => {
      queued = null;
      return refresh();
    };
    queued ??= running.then(next, next);
    return queued;
  };
  // The failure is logged, and tried again.
  const hint = (): void => void refresh().catch(() => undefined);

  // Before the first reading, so that no change falls between the two.
  const stop = database.onChange((changed) => {
    if (changed === topic && !closed) hint();
  });
  const close = async (): Promise<void> => {
    closed = true;
    stop();
    clearTimeout(retry);
    await (queued ?? running)?.catch(() => undefined);
    clearTimeout(retry);
  };
  try {
    await refresh();
  } catch (error) {
    await close();
    throw error;
  }
  return { refresh, behindSinceMs: () => behindSinceMs, close };
}
