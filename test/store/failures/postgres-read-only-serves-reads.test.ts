import { expect } from 'vitest';
import { until } from '../../support/gateway.ts';
import { ownPostgres, postgresTest } from './postgres-support.ts';
import { revocationRow } from './rows.ts';
import { openAt } from './support.ts';

const postgres = ownPostgres();

/** As an operator does who fails over, or whose disk is nearly full. */
async function setReadOnly(on: boolean): Promise<void> {
  await postgres().run(`alter system set default_transaction_read_only = ${on ? 'on' : 'off'}`);
  await postgres().run('select pg_reload_conf()');
}

postgresTest(
  'a server that turns read-only: writes are refused and said so, reads go on, and it heals',
  async () => {
    const url = await postgres().createDatabase();
    const { database, lines } = await openAt(url, '/nowhere');
    await database.revocations.insert(revocationRow('before'));
    await setReadOnly(true);
    await until(() => !database.status().writable, 'it is noticed by itself', 4_000);
    await expect(database.revocations.insert(revocationRow('no'))).rejects.toMatchObject({
      code: 'STORE_READ_ONLY',
      statusCode: 503,
    });
    expect((await database.revocations.all()).map(({ id }) => id)).toEqual(['before']);
    expect(database.status()).toMatchObject({ connected: true, writable: false });

    // A gateway that starts meanwhile serves what it can read.
    const late = await openAt(url, '/nowhere');
    expect((await late.database.revocations.all()).map(({ id }) => id)).toEqual(['before']);
    expect(late.database.status()).toMatchObject({ connected: true, writable: false });
    // One that would have to migrate does not.
    const empty = postgres().url('postgres');
    await expect(openAt(empty, '/nowhere')).rejects.toMatchObject({ code: 'STORE_READ_ONLY' });

    await setReadOnly(false);
    await until(
      () => database.status().writable && late.database.status().writable,
      'writes are taken again',
    );
    await database.revocations.insert(revocationRow('after'));
    const messages = lines.map(({ message }) => message);
    expect(messages).toContain('database takes no writes');
    expect(messages).toContain('database takes writes again');
  },
);
