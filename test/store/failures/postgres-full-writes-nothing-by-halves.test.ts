import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensurePostgres } from '../../support/ensure-postgres.ts';
import { until } from '../../support/gateway.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres-server.ts';
import { decisionRow, revocationRow } from './rows.ts';
import { canMount, openAt } from './support.ts';

const possible = ensurePostgres() !== null && canMount();
let server: TestPostgres;

beforeAll(async () => {
  if (possible) server = await startPostgres({ smallDisk: '24m' });
});
afterAll(() => server?.stop());

test.skipIf(!possible)(
  'a tablespace that is full: batches fail as full and whole, the rest goes on, room heals',
  async () => {
    await server.run(`create tablespace small location '${server.smallFolder}'`);
    await server.run('create database small tablespace small');
    await server.run(
      'create table ballast as select md5(n::text) from generate_series(1, 80000) as n',
      'small',
    );
    const { database } = await openAt(server.url('small'), '/nowhere');
    await database.revocations.insert(revocationRow('before'));
    let batch = 0;
    const append = () =>
      database.decisions.append(
        Array.from({ length: 50 }, (_row, n) =>
          decisionRow(`${batch}-${n}`, { detail: randomBytes(6_000).toString('base64') }),
        ),
      );
    const filling = async (): Promise<void> => {
      for (; ; batch++) await append();
    };
    await expect(filling()).rejects.toMatchObject({
      code: 'STORE_FULL',
      statusCode: 503,
      message: expect.stringContaining('No space left on device'),
    });
    expect(database.status()).toMatchObject({ connected: true, writable: false });
    expect(batch).toBeGreaterThan(2);
    expect((await database.revocations.all()).map(({ id }) => id)).toEqual(['before']);
    expect(await server.run('select count(*)::int as rows from decisions', 'small')).toEqual([
      { rows: 50 * batch },
    ]);

    await server.run('drop table ballast', 'small');
    await until(() => database.status().writable, 'it takes writes again');
    await append();
    await database.revocations.insert(revocationRow('after'));
  },
  60_000,
);
