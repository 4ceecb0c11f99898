/**
 * PostgreSQL through a pool: at most so many connections, a bounded number of calls that wait for one, and for each
 * call a time after which its connection is given up. Connections that broke are replaced when the next call comes.
 */
import pg from 'pg';
import {
  type Driver,
  type DriverEvents,
  type Result,
  type Row,
  type Statement,
  storable,
} from '../executor.ts';
import { faultError, faultIn } from '../faults.ts';
import { migrateUp } from '../migrations.ts';
import { announcement, faultOf, isConnectionLost, isTaken, READ_ONLY_QUERY } from './dialect.ts';
import { startListening } from './listener.ts';
import { withMigrations } from './migration-port.ts';
import { addressOf, clientSettings, GRACE_MS } from './settings.ts';

/** Calls that wait for a connection: more than operators and the decision log ever have under way. */
const WAITING_MAX = 256;
/** What pg-pool says when a call has waited for a connection as long as it may. */
const POOL_EXHAUSTED = 'timeout exceeded when trying to connect';
const IDLE_MS = 30_000;

export interface PostgresOptions {
  readonly url: string;
  readonly poolMax: number;
  /** Of one statement, and of the wait for a connection. */
  readonly timeoutMs: number;
  readonly now: () => number;
  readonly events: DriverEvents;
}

async function run(client: pg.ClientBase, statement: Statement): Promise<Result> {
  const { sql, values, whenNone, whenTaken } = statement;
  let result: pg.QueryResult;
  try {
    result = await client.query(sql, values.map(storable));
  } catch (error) {
    throw whenTaken !== undefined && isTaken(error) ? faultError(whenTaken) : error;
  }
  const changes = result.rowCount ?? 0;
  if (whenNone !== undefined && changes === 0) throw faultError(whenNone);
  return { rows: result.rows, changes };
}

async function transaction(client: pg.ClientBase, statements: readonly Statement[]): Promise<Result[]> {
  const [only, ...more] = statements;
  // By itself it is a transaction already, and touched nothing when it finds no row.
  if (only !== undefined && more.length === 0) return [await run(client, only)];
  await client.query('begin');
  try {
    const results: Result[] = [];
    for (const statement of statements) results.push(await run(client, statement));
    await client.query('commit');
    return results;
  } catch (error) {
    if (!isConnectionLost(error) || faultIn(error) !== null) await client.query('rollback');
    throw error;
  }
}

/**
 * Resolves when the server answers and its schema is the present one.
 * @throws {StoreUnavailable, StoreBusy, StoreReadOnly, StoreFull, StoreSchemaUnknown}
 */
export async function openPostgres(
  options: PostgresOptions,
): Promise<{ readonly driver: Driver; readonly migrated: readonly string[] }> {
  const { poolMax, timeoutMs, events } = options;
  const address = addressOf(options.url);
  const { endpoint } = address;
  const migrated = await withMigrations(address, (port) => migrateUp(port, options.now()));
  const pool = new pg.Pool({
    ...clientSettings(address, timeoutMs),
    max: poolMax,
    idleTimeoutMillis: IDLE_MS,
  });
  // Of a connection that nobody uses: the pool has dropped it, and whether the server is gone the poll finds out.
  pool.on('error', () => events.doubted());
  // The pool listens while a connection is idle, its user while it asks something; between two statements nobody does.
  pool.on('connect', (client) => client.on('error', () => events.doubted()));
  let shed = 0;
  let inUse = 0;

  async function acquire(): Promise<pg.PoolClient> {
    if (pool.waitingCount >= WAITING_MAX) {
      shed++;
      throw faultError({ kind: 'busy', text: `${WAITING_MAX} calls wait for a connection to ${endpoint}` });
    }
    try {
      return await pool.connect();
    } catch (error) {
      // It says so of a server that does not let anybody in, too.
      const exhausted = error instanceof Error && error.message === POOL_EXHAUSTED && inUse >= poolMax;
      if (!exhausted) throw error;
      shed++;
      throw faultError({ kind: 'busy', text: `all ${poolMax} connections to ${endpoint} are in use` });
    }
  }

  async function withClient<T>(work: (client: pg.ClientBase) => Promise<T>): Promise<T> {
    const client = await acquire();
    inUse++;
    let released = false;
    const release = (broken: boolean): void => {
      if (released) return;
      released = true;
      inUse--;
      client.release(broken);
    };
    // The server ends statements itself; this is for one that says nothing any more. Its socket is destroyed.
    const hung = setTimeout(release, timeoutMs + GRACE_MS, true);
    try {
      const answer = await work(client);
      release(false);
      return answer;
    } catch (error) {
      const text = `${endpoint} did not answer in time`;
      const fault = released ? { kind: 'unavailable' as const, text } : null;
      release(faultIn(error) === null && isConnectionLost(error));
      throw fault === null ? error : faultError(fault);
    } finally {
      clearTimeout(hung);
    }
  }

  async function coded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw faultIn(error) === null ? faultError(faultOf(error, endpoint)) : error;
    }
  }

  /** A connection may have died since it was last used; reading once more on another one does no harm. */
  async function read(statement: Statement): Promise<readonly Row[]> {
    const once = (): Promise<Result> => withClient((client) => run(client, statement));
    try {
      return (await once()).rows;
    } catch (error) {
      if (faultIn(error) !== null || !isConnectionLost(error)) throw error;
      return (await once()).rows;
    }
  }

  const listener = startListening(address, timeoutMs, events);
  const driver: Driver = {
    kind: 'postgresql',
    endpoint,
    readOnlyQuery: READ_ONLY_QUERY,
    announcement,
    read: (statement) => coded(() => read(statement)),
    write: (statements) => coded(() => withClient((client) => transaction(client, statements))),
    load: () => ({
      waiting: pool.waitingCount,
      inUse,
      size: poolMax,
      shed,
    }),
    async close() {
      await listener.close();
      await pool.end();
    },
  };
  return { driver, migrated };
}
