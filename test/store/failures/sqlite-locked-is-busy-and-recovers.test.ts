import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { revocationRow } from './rows.ts';
import { openAt, startChild, temporaryFolder } from './support.ts';

const TIMEOUT_MS = 800;

test('a file that another process holds: writes fail as busy in time, reads go on, and then all is well', async () => {
  const folder = temporaryFolder();
  const { database } = await openAt(null, folder, { statementTimeoutMs: TIMEOUT_MS });
  await database.revocations.insert(revocationRow('before'));
  const holder = startChild(new URL('./locking-process.ts', import.meta.url), [join(folder, 'sage.db')]);
  expect(await holder.next()).toBe('held');

  const started = performance.now();
  const writes = Array.from({ length: 20 }, (_call, n) =>
    database.revocations.insert(revocationRow(`w-${n}`)),
  );
  const read = database.revocations.all().then((rows) => ({ rows, ms: performance.now() - started }));
  const outcomes = await Promise.allSettled(writes);
  // One waits for the lock, the rest share the wait after it.
  expect(performance.now() - started).toBeLessThan(TIMEOUT_MS + 400);
  for (const outcome of outcomes)
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'STORE_BUSY', statusCode: 503 } });
  expect((await read).rows.map(({ id }) => id)).toEqual(['before']);
  expect(database.status()).toMatchObject({ connected: true, writable: true });
  expect(database.status().lastError).toContain('another process holds it');

  const ended = once(holder.process, 'exit');
  holder.process.stdin?.end();
  await ended;
  await database.revocations.insert(revocationRow('after'));
  expect((await database.revocations.all()).map(({ id }) => id)).toEqual(['after', 'before']);
});
