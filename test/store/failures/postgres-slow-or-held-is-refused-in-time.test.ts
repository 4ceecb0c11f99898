import pg from 'pg';
import { expect, onTestFinished } from 'vitest';
import { until } from '../../support/gateway.ts';
import { ownPostgres, postgresTest } from './postgres-support.ts';
import { revocationRow } from './rows.ts';
import { openAt } from './support.ts';

const TIMEOUT_MS = 800;
const postgres = ownPostgres();

async function holder(url: string, ...statements: string[]): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  for (const sql of statements) await client.query(sql);
  return client;
}

postgresTest('rows that another transaction holds make a call busy; then it succeeds', async () => {
  const url = await postgres().createDatabase();
  const { database } = await openAt(url, '/nowhere', { statementTimeoutMs: TIMEOUT_MS });
  const other = await holder(url, 'begin', 'lock table revocations in access exclusive mode');
  const started = performance.now();
  const [write, read] = await Promise.allSettled([
    database.revocations.insert(revocationRow('one')),
    database.revocations.all(),
  ]);
  expect(performance.now() - started).toBeLessThan(TIMEOUT_MS);
  for (const outcome of [write, read])
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'STORE_BUSY' } });
  // One that waited for the topic's row alone wrote nothing either: the next version follows the last.
  await other.query('rollback');
  await database.revocations.insert(revocationRow('one'));
  const versions = await postgres().run(
    "select version from topics where topic = 'revocations'",
    new URL(url).pathname.slice(1),
  );
  expect(versions).toEqual([{ version: '2' }]);
});

postgresTest(
  'a statement that takes too long is ended by the server, and its transaction leaves nothing',
  async () => {
    const url = await postgres().createDatabase();
    const { database } = await openAt(url, '/nowhere', { statementTimeoutMs: TIMEOUT_MS });
    const name = new URL(url).pathname.slice(1);
    await postgres().run(
      `create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(30); return new; end $$;
     create trigger slow after insert on revocations for each row execute function slow()`,
      name,
    );
    const started = performance.now();
    await expect(database.revocations.insert(revocationRow('slow'))).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('longer than DATABASE_STATEMENT_TIMEOUT_MS'),
    });
    expect(performance.now() - started).toBeLessThan(TIMEOUT_MS + 300);
    await until(() => database.status().connected, 'the server answers still');
    await postgres().run('drop trigger slow on revocations', name);
    expect(await database.revocations.all()).toEqual([]);
    await database.revocations.insert(revocationRow('slow'));
  },
);

postgresTest(
  'a pool in use: calls wait in turn, are refused as busy when that takes too long, and are counted',
  async () => {
    const url = await postgres().createDatabase();
    const { database } = await openAt(url, '/nowhere', { statementTimeoutMs: TIMEOUT_MS, poolMax: 2 });
    const other = await holder(url, 'begin', 'lock table agents in access exclusive mode');
    // Each holds a connection for half of the timeout, so that the last of them are never served.
    const calls = Array.from({ length: 8 }, () => database.agents.all());
    await until(() => database.status().inUse === 2, 'both connections are in use');
    expect(database.status()).toMatchObject({ inUse: 2, size: 2, waiting: 6 });
    const outcomes = await Promise.allSettled(calls);
    const messages = outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : ''));
    expect(messages.filter((text) => text.includes('another transaction holds')).length).toBeGreaterThan(1);
    expect(messages.filter((text) => text.includes('all 2 connections')).length).toBeGreaterThan(1);
    expect(database.status().shed).toBe(messages.filter((text) => text.includes('all 2')).length);

    const many = Array.from({ length: 300 }, () => database.agents.all());
    const refused = Promise.allSettled(many);
    await expect(many.at(-1)).rejects.toMatchObject({
      code: 'STORE_BUSY',
      message: expect.stringContaining('256 calls wait'),
    });
    await refused;
    await other.query('rollback');
    expect(await database.agents.all()).toEqual([]);
    expect(database.status()).toMatchObject({ inUse: 0, waiting: 0 });
  },
);
