import pg from 'pg';
import { faultError, faultIn } from '../faults.ts';
import type { MigrationPort, MigrationSession } from '../migrations.ts';
import { faultOf, MIGRATION_LOCK } from './dialect.ts';
import { clientSettings, type PostgresAddress } from './settings.ts';

/** One statement of a migration: an index over a full decision log takes seconds. */
const STATEMENT_MS = 60_000;
const CONNECT_MS = 5_000;
/** How long another process that migrates is waited for. */
const LOCK_MS = 10_000;

/**
 * Connects for `work` alone. An advisory lock of the transaction is the lock: it goes with the connection, however that
 * ends.
 * @throws the coded errors only
 */
export async function withMigrations<T>(
  address: PostgresAddress,
  work: (port: MigrationPort) => Promise<T>,
): Promise<T> {
  const settings = clientSettings(address, STATEMENT_MS);
  const client = new pg.Client({ ...settings, connectionTimeoutMillis: CONNECT_MS, lock_timeout: LOCK_MS });
  // A connection that breaks while it is used fails what uses it; without a listener it would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(portOf(client));
  } catch (error) {
    throw faultIn(error) === null ? faultError(faultOf(error, address.endpoint)) : error;
  } finally {
    await client.end();
  }
}

function portOf(client: pg.Client): MigrationPort {
  const session: MigrationSession = {
    query: async (sql, values = []) => (await client.query(sql, [...values])).rows,
    script: async (sql) => void (await client.query(sql)),
  };
  return {
    kind: 'postgresql',
    unlocked: (work) => work(session),
    async locked(work) {
      await client.query('begin');
      try {
        await client.query('select pg_advisory_xact_lock($1)', [String(MIGRATION_LOCK)]);
        const answer = await work(session);
        await client.query('commit');
        return answer;
      } catch (error) {
        await client.query('rollback').catch(() => undefined);
        throw error;
      }
    },
  };
}
