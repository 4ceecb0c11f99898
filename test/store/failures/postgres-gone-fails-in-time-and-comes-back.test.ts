import { expect } from 'vitest';
import { until } from '../../support/gateway.ts';
import { ownPostgres, postgresTest } from './postgres-support.ts';
import { decisionRow, revocationRow } from './rows.ts';
import { openAt } from './support.ts';

const TIMEOUT_MS = 1_000;

const postgres = ownPostgres();

postgresTest(
  'killed amid writes: each is written or refused, none by halves, and all is well once it is back',
  async () => {
    const server = postgres();
    const url = await server.createDatabase();
    const { database, lines } = await openAt(url, '/nowhere', { statementTimeoutMs: TIMEOUT_MS });
    const other = (await openAt(url, '/nowhere')).database;
    await database.revocations.insert(revocationRow('before'));

    const acknowledged: string[] = [];
    const refused: unknown[] = [];
    let going = true;
    const writers = [0, 1, 2, 3, 4, 5].map(async (writer) => {
      for (let n = 0; going; n++) {
        const batch = `${writer}-${n}`;
        try {
          // Three statements of one transaction: ten rows, one and one.
          await database.decisions.append(
            Array.from({ length: 12 }, (_row, at) => decisionRow(`${batch}-${at}`)),
          );
          acknowledged.push(batch);
        } catch (error) {
          refused.push(error);
          return;
        }
      }
    });
    await until(() => acknowledged.length > 100, 'batches are written');
    const killed = performance.now();
    await server.kill();
    await Promise.all(writers);
    going = false;
    expect(performance.now() - killed).toBeLessThan(TIMEOUT_MS + 500);
    expect(refused).toHaveLength(6);
    for (const error of refused) expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', statusCode: 503 });

    const asked = performance.now();
    await expect(database.revocations.all()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(performance.now() - asked).toBeLessThan(TIMEOUT_MS + 500);
    expect(database.status()).toMatchObject({ connected: false, kind: 'postgresql' });
    expect(database.status().lastError).toContain(`127.0.0.1:${server.port}`);
    expect(JSON.stringify([database.status(), lines, refused.map(String)])).not.toContain(server.password);

    const heard = new Set<string>();
    other.onChange((topic) => heard.add(topic));
    await server.start();
    await until(() => database.status().connected && other.status().connected, 'both are connected again');
    // What happened while they could not listen is not known.
    await until(() => heard.size === 4, 'every topic is told');
    await database.revocations.insert(revocationRow('after'));
    expect((await database.revocations.all()).map(({ id }) => id)).toEqual(['after', 'before']);
    const ids = await server.run('select request_id from decisions', new URL(url).pathname.slice(1));
    const batches = Map.groupBy(ids as { request_id: string }[], ({ request_id: id }) =>
      id.slice(0, id.lastIndexOf('-')),
    );
    expect([...batches.values()].filter((rows) => rows.length !== 12)).toEqual([]);
    expect(acknowledged.filter((batch) => !batches.has(batch))).toEqual([]);
    const messages = lines.map(({ message }) => message);
    expect(messages).toContain('database lost');
    expect(messages).toContain('database answers again');
  },
);

postgresTest('a server that hangs: calls are refused in time, and go on when it does', async () => {
  const server = postgres();
  const { database } = await openAt(await server.createDatabase(), '/nowhere', {
    statementTimeoutMs: TIMEOUT_MS,
  });
  server.pause();
  try {
    const started = performance.now();
    const outcomes = await Promise.allSettled([
      database.agents.all(),
      database.revocations.insert(revocationRow('hung')),
    ]);
    expect(performance.now() - started).toBeLessThan(2 * TIMEOUT_MS + 750);
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'STORE_UNAVAILABLE' } });
    expect(database.status().connected).toBe(false);
  } finally {
    server.resume();
  }
  await until(() => database.status().connected, 'it answers again');
  await database.revocations.insert(revocationRow('after'));
});

postgresTest('connections ended one by one by an operator are replaced unseen', async () => {
  const server = postgres();
  const url = await server.createDatabase();
  const { database, lines } = await openAt(url, '/nowhere');
  const name = new URL(url).pathname.slice(1);
  for (let n = 0; n < 3; n++) {
    await server.run(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
    expect(await database.agents.all()).toEqual([]);
  }
  expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  // The doorbell rings again, too.
  const heard: string[] = [];
  database.onChange((topic) => heard.push(topic));
  await until(() => heard.length >= 4, 'every topic is told once it listens again');
});
