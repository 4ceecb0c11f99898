/**
 * A driver, watched: how long calls take, whether the database answers and takes writes, and what others changed. One
 * poll of the topics' versions does for all three.
 */
import { channel } from 'node:diagnostics_channel';
import type { Changes } from './changes.ts';
import type { DatabaseStatus, Topic } from './database.ts';
import type { Driver, Executor, Operation, Result, Row, Statement, Value } from './executor.ts';
import { faultError, faultIn } from './faults.ts';
import { integer, text } from './rows/columns.ts';
import { createSchedule } from './schedule.ts';
import { createStanding, type StoreLog } from './standing.ts';

/** Payload: `StoreCall`. */
const storeCall = channel('sage:store.call');

export interface StoreCall {
  readonly operation: Operation;
  readonly ms: number;
  /** Empty, or the kind of failure. */
  readonly failure: string;
}

/** Behind announcements and own writes: the most that a missed one costs. */
const POLL_MS = 2_000;
/** While the database is away or takes no writes. */
const POLL_LOST_MS = 500;

export interface WatchOptions {
  readonly driver: Driver;
  readonly changes: Changes;
  readonly log: StoreLog;
  readonly now: () => number;
}

export interface WatchedDriver extends Executor {
  status(): DatabaseStatus;
  /** The driver lost its connection while nobody asked. */
  lost(why: string): void;
  /** It may have: it is asked at once. */
  doubted(): void;
  /** Asks at once, then again and again. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

const VERSIONS = 'select topic, version from topics';
const bump = (topic: Topic): Statement => ({
  sql: 'update topics set version = version + 1 where topic = $1 returning version',
  values: [topic],
});
/** Changes nothing, and is a write all the same. */
const TOUCH: Statement = { sql: "update topics set version = version where topic = 'agents'", values: [] };

export function watchDriver({ driver, changes, log, now }: WatchOptions): WatchedDriver {
  const standing = createStanding(driver.endpoint, log);
  const polls = createSchedule(poll);

  async function timed<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    let failure = '';
    try {
      return await work();
    } catch (error) {
      failure = faultIn(error)?.kind ?? 'defect';
      failed(error);
      throw error;
    } finally {
      if (storeCall.hasSubscribers)
        storeCall.publish({ operation, ms: performance.now() - started, failure } satisfies StoreCall);
    }
  }

  async function write(statements: readonly Statement[], topic?: Topic): Promise<readonly Result[]> {
    if (topic === undefined) return driver.write(statements);
    const announcement = driver.announcement(topic);
    // First, since the row of the topic is what writers of it wait for.
    const first = [bump(topic), ...(announcement === null ? [] : [announcement])];
    const [bumped, ...results] = await driver.write([...first, ...statements]);
    const [row] = bumped?.rows ?? [];
    if (row !== undefined) changes.heard(topic, integer(row, 'version'));
    return announcement === null ? results : results.slice(1);
  }

  async function probe(): Promise<void> {
    const started = performance.now();
    const rows = await timed('probe', () => driver.read({ sql: VERSIONS, values: [] }));
    standing.answered(performance.now() - started, now());
    for (const row of rows) changes.heard(text(row, 'topic'), integer(row, 'version'));
    await probeWrites();
  }

  /** Asks the database where it can say; else a write that failed before is tried until one succeeds. */
  async function probeWrites(): Promise<void> {
    if (driver.readOnlyQuery !== null) {
      const [row] = await driver.read({ sql: driver.readOnlyQuery, values: [] });
      if (row !== undefined && integer(row, 'read_only') === 1)
        throw faultError({ kind: 'read_only', text: `${driver.endpoint} takes no writes` });
    }
    if (standing.state().writable) return;
    await driver.write([TOUCH]);
    standing.wrote();
  }

  async function poll(): Promise<number> {
    try {
      await probe();
    } catch (error) {
      standing.failed(error);
    }
    const { connected, writable } = standing.state();
    return connected && writable ? POLL_MS : POLL_LOST_MS;
  }

  function failed(error: unknown): void {
    standing.failed(error);
    if (!standing.state().connected) polls.within(POLL_LOST_MS);
  }

  return {
    read: (operation: Operation, sql: string, values: readonly Value[] = []): Promise<readonly Row[]> =>
      timed(operation, () => driver.read({ sql, values })),
    write: (operation, statements, topic) =>
      timed(operation, async () => {
        const results = await write(statements, topic);
        standing.wrote();
        return results;
      }),
    status: () => ({ kind: driver.kind, endpoint: driver.endpoint, ...standing.state(), ...driver.load() }),
    lost(why) {
      standing.lost(why);
      polls.within(POLL_LOST_MS);
    },
    doubted: () => polls.within(0),
    start: () => polls.start(),
    stop: () => polls.stop(),
  };
}
