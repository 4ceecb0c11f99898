/**
 * The log of decisions: a sample of the finished requests, written to the database in batches. The path of a request
 * only offers its record; rows are made, and written, a quarter of a second later. While the database takes none, the
 * newest are kept up to a bound and the rest is counted: no request ever waits for a row.
 */
import type { Logger } from 'pino';
import type { RequestRecord } from '../../gateway/record.ts';
import type { DecisionRow, DecisionRows } from '../../store/database.ts';
import { StoreBusy, StoreFull, StoreReadOnly, StoreUnavailable } from '../../store/errors.ts';
import { decisionRow, type RowContext } from './decision-row.ts';
import { createDecisionSample } from './decision-sample.ts';

/** What is written at once; also how late a row is. */
const SLICE_MS = 250;
const BATCH_ROWS_MAX = 500;
/**
 * Rows that wait for the database, of at most some 6 KB each: ten seconds of the default budget. A greater budget has
 * two seconds.
 */
const WAITING_ROWS_MAX = 2_000;
const WAITING_SECONDS = 2;
/** Between tries while the database fails, doubled up to this. */
const RETRY_MS_MAX = 4_000;
/** What is given to the last rows when the gateway closes. */
const CLOSE_MS = 2_000;
/** How often old rows are removed, and how many removals in a row: more than the greatest budget adds meanwhile. */
const TRIM_MS = 30_000;
const FIRST_TRIM_MS = 5_000;
const TRIMS_AT_ONCE = 150;
const DAY_MS = 86_400_000;

/** Why a decision is not in the log. */
export const DROP_REASONS = ['budget_refused', 'budget_allowed', 'store', 'defect', 'shutdown'] as const;
export type DropReason = (typeof DROP_REASONS)[number];

export interface DecisionLogOptions extends RowContext {
  readonly rows: DecisionRows;
  /** DECISION_LOG_PER_SECOND, at least 1. */
  readonly perSecond: number;
  readonly keep: { readonly rows: number; readonly days: number };
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly onWritten: (rows: number) => void;
  readonly onDropped: (reason: DropReason, rows: number) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface DecisionLog {
  /** The record of a finished request; on its path. */
  readonly finished: (record: RequestRecord) => void;
  /** One that is not written yet, so that a request is found as soon as it is over. */
  readonly find: (requestId: string) => DecisionRow | null;
  /** Writes what is left, for as long as two seconds. */
  readonly close: () => Promise<void>;
}

/** Worth another try: the database says that nothing was written, or that what was may be written again. */
function isPassing(error: unknown): boolean {
  return [StoreUnavailable, StoreReadOnly, StoreFull, StoreBusy].some((kind) => error instanceof kind);
}

interface Writer {
  add(rows: readonly DecisionRow[]): void;
  /**
   * Writes what waits; resolves when nothing waits any more or the database fails.
   * @param anyway also when it failed just now
   */
  flush(anyway?: boolean): Promise<void>;
  waiting(requestId: string): DecisionRow | null;
  /** Gives up what waits. */
  abandon(): void;
}

function createWriter(options: DecisionLogOptions): Writer {
  const { rows, log, onWritten, onDropped, monotonicNow } = options;
  const waitingMax = Math.max(WAITING_ROWS_MAX, WAITING_SECONDS * options.perSecond);
  let waiting: DecisionRow[] = [];
  let inFlight = 0;
  let running: Promise<void> | null = null;
  let failures = 0;
  let retryAt = 0;

  const failed = (error: unknown, batch: number): void => {
    if (!isPassing(error)) {
      // The same rows would fail again, and hold up all that come after them.
      waiting.splice(0, batch);
      onDropped('defect', batch);
      log.error({ err: error, rows: batch }, 'decisions could not be written');
      return;
    }
    if (failures === 0) log.warn({ err: error }, 'decisions wait for the database');
    retryAt = monotonicNow() + Math.min(RETRY_MS_MAX, SLICE_MS * 2 ** failures);
    failures++;
  };

  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH_ROWS_MAX);
      inFlight = batch.length;
      try {
        await rows.append(batch);
      } catch (error) {
        failed(error, batch.length);
        return;
      } finally {
        inFlight = 0;
      }
      waiting.splice(0, batch.length);
      onWritten(batch.length);
      if (failures > 0) log.info({ waiting: waiting.length }, 'decisions are written again');
      failures = 0;
      retryAt = 0;
    }
  };

  return {
    add(added) {
      waiting.push(...added);
      const excess = waiting.length - waitingMax;
      if (excess <= 0) return;
      // The oldest that are not under way: who asks, asks about what has just happened.
      waiting.splice(inFlight, excess);
      onDropped('store', excess);
    },
    flush(anyway = false) {
      if (running === null && (anyway || monotonicNow() >= retryAt))
        running = write().finally(() => {
          running = null;
        });
      return running ?? Promise.resolve();
    },
    waiting: (requestId) => waiting.find((row) => row.requestId === requestId) ?? null,
    abandon() {
      if (waiting.length > 0) onDropped('shutdown', waiting.length);
      waiting = [];
    },
  };
}

/** Removes what is older than the days or beyond the rows, again and again. Returns what ends it. */
function keepTrimmed({ rows, keep, log, now }: DecisionLogOptions): () => Promise<void> {
  let closed = false;
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout;
  let failing = false;
  const trim = async (): Promise<void> => {
    try {
      for (let turn = 0; turn < TRIMS_AT_ONCE && !closed; turn++) {
        const removed = await rows.trim({ rows: keep.rows, sinceMs: now() - keep.days * DAY_MS });
        if (removed === 0) break;
      }
      failing = false;
    } catch (error) {
      if (!failing && !closed) log.warn({ err: error }, 'old decisions could not be removed');
      failing = true;
    }
    if (!closed) timer = setTimeout(start, TRIM_MS);
  };
  const start = (): void => {
    running = trim();
  };
  timer = setTimeout(start, FIRST_TRIM_MS);
  return async () => {
    closed = true;
    clearTimeout(timer);
    await running;
  };
}

function timeLimit(ms: number): { readonly passed: Promise<void>; readonly cancel: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return { passed, cancel: () => clearTimeout(timer) };
}

/** Begins at once; what it is told is written until it is closed. */
export function openDecisionLog(options: DecisionLogOptions): DecisionLog {
  const { perSecond, random, monotonicNow, onDropped } = options;
  const sample = createDecisionSample({ perSecond, random, now: monotonicNow() });
  const writer = createWriter(options);
  const stopTrimming = keepTrimmed(options);
  const counted = { refused: 0, allowed: 0 };

  const rowsOf = (records: readonly RequestRecord[]): DecisionRow[] => {
    try {
      return records.map((record) => decisionRow(record, options));
    } catch (error) {
      onDropped('defect', records.length);
      options.log.error({ err: error, rows: records.length }, 'decisions could not be written');
      return [];
    }
  };
  const endSlice = (): void => {
    writer.add(rowsOf(sample.take(monotonicNow())));
    const { refused, allowed } = sample.leftOut;
    if (refused > counted.refused) onDropped('budget_refused', refused - counted.refused);
    if (allowed > counted.allowed) onDropped('budget_allowed', allowed - counted.allowed);
    Object.assign(counted, { refused, allowed });
  };
  const timer = setInterval(() => {
    endSlice();
    void writer.flush();
  }, SLICE_MS);

  return {
    finished: (record) => sample.offer(record),
    find(requestId) {
      endSlice();
      return writer.waiting(requestId);
    },
    async close() {
      clearInterval(timer);
      const limit = timeLimit(CLOSE_MS);
      // A batch may be under way already; what came after it is written by the second.
      const rest = writer.flush().then(() => {
        endSlice();
        return writer.flush(true);
      });
      await Promise.race([rest, limit.passed]);
      limit.cancel();
      writer.abandon();
      await stopTrimming();
    },
  };
}
