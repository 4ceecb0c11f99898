import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { revocationRow } from './rows.ts';
import { openAt, startChild, temporaryFolder } from './support.ts';

test('SQLite: calls beyond those that may wait are refused at once, and counted', async () => {
  const folder = temporaryFolder();
  const { database } = await openAt(null, folder, { statementTimeoutMs: 1_000 });
  const holder = startChild(new URL('./locking-process.ts', import.meta.url), [join(folder, 'sage.db')]);
  await holder.next();
  const calls = Array.from({ length: 1_100 }, (_call, n) =>
    database.revocations.insert(revocationRow(`r-${n}`)),
  );
  expect(database.status().waiting).toBe(1_024);
  const started = performance.now();
  await expect(calls.at(-1)).rejects.toMatchObject({
    code: 'STORE_BUSY',
    message: expect.stringContaining('1024 calls wait'),
  });
  expect(performance.now() - started).toBeLessThan(300);
  expect(database.status().shed).toBe(1_100 - 1_024 - 1);
  const ended = once(holder.process, 'exit');
  holder.process.stdin?.end();
  const outcomes = await Promise.allSettled(calls);
  await ended;
  const written = outcomes.filter(({ status }) => status === 'fulfilled').length;
  expect(await database.revocations.all()).toHaveLength(written);
});
