/** Opens what remembers beyond a restart: SQLite in DATA_DIR, or PostgreSQL where DATABASE_URL says. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createChanges } from './changes.ts';
import type { Database } from './database.ts';
import type { Driver, DriverEvents } from './executor.ts';
import { faultIn } from './faults.ts';
import { openPostgres } from './postgresql/driver.ts';
import { agentRows } from './rows/agents.ts';
import { apiKeyRows } from './rows/api-keys.ts';
import { checkpointRows } from './rows/checkpoints.ts';
import { decisionRows } from './rows/decisions.ts';
import { frequentDidRows } from './rows/frequent-dids.ts';
import { idempotencyRows } from './rows/idempotency.ts';
import { policyRows } from './rows/policies.ts';
import { revocationRows } from './rows/revocations.ts';
import { tombstoneRows } from './rows/tombstones.ts';
import { openSqlite } from './sqlite/driver.ts';
import type { StoreLog } from './standing.ts';
import { type WatchedDriver, watchDriver } from './watched-driver.ts';

/** How long a database that does not answer is waited for at the start: one that starts at the same time comes up. */
const START_MS = 10_000;
const RETRY_MS = 250;

export interface DatabaseOptions {
  /** `postgres:` or `postgresql:`; null: SQLite in `dataDir`. */
  readonly databaseUrl: string | null;
  readonly dataDir: string;
  readonly poolMax: number;
  readonly statementTimeoutMs: number;
  readonly log: StoreLog;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** 10 s when left out. */
  readonly startMs?: number;
}

export const sqliteFile = (dataDir: string): string => join(dataDir, 'sage.db');

async function openDriver(
  options: DatabaseOptions,
  events: DriverEvents,
): Promise<{ readonly driver: Driver; readonly migrated: readonly string[] }> {
  if (options.databaseUrl !== null) {
    return openPostgres({
      url: options.databaseUrl,
      poolMax: options.poolMax,
      timeoutMs: options.statementTimeoutMs,
      now: options.now,
      events,
    });
  }
  return openSqlite({
    file: sqliteFile(options.dataDir),
    timeoutMs: options.statementTimeoutMs,
    now: options.now,
    events,
  });
}

/** Tries again what may pass by itself; a database that is read-only, full or of a later release is refused at once. */
async function openPatiently(options: DatabaseOptions, events: DriverEvents): ReturnType<typeof openDriver> {
  const deadline = performance.now() + (options.startMs ?? START_MS);
  for (let attempt = 1; ; attempt++) {
    try {
      return await openDriver(options, events);
    } catch (error) {
      const kind = faultIn(error)?.kind;
      const passing = kind === 'unavailable' || kind === 'busy';
      if (!passing || performance.now() > deadline) throw error;
      const fault = error instanceof Error ? error.message : String(error);
      if (attempt === 1) options.log.warn({ fault }, 'database not ready, trying again');
      await sleep(RETRY_MS);
    }
  }
}

/**
 * Opens the database, brings its schema up to date, and watches both from then on.
 * @throws {StoreUnavailable, StoreBusy} when it does not answer in time, {StoreReadOnly, StoreFull} when it cannot be
 * made or migrated, {StoreSchemaUnknown} when a later release made it: nothing is served without what was revoked.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { log, now } = options;
  const changes = createChanges((error) => log.error({ err: error }, 'database: a listener failed'));
  // What happens to the connection before anybody watches is for the first probe to find.
  let watched: WatchedDriver | null = null;
  const { driver, migrated } = await openPatiently(options, {
    heard: (topic, version) => changes.heard(topic, version),
    missed: () => changes.tellAll(),
    lost: (why) => watched?.lost(why),
    doubted: () => watched?.doubted(),
  });
  const db = watchDriver({ driver, changes, log, now });
  watched = db;
  if (migrated.length > 0) log.info({ database: driver.endpoint, migrations: migrated }, 'database migrated');
  await db.start();
  return {
    agents: agentRows(db),
    apiKeys: apiKeyRows(db, now),
    revocations: revocationRows(db),
    checkpoints: checkpointRows(db),
    tombstones: tombstoneRows(db),
    frequentDids: frequentDidRows(db),
    decisions: decisionRows(db),
    policies: policyRows(db),
    idempotency: idempotencyRows(db),
    onChange: (listener) => changes.listen(listener),
    status: () => db.status(),
    async close() {
      await db.stop();
      await driver.close();
    },
  };
}
