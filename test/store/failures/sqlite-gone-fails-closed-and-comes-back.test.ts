import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../support/gateway.ts';
import { revocationRow } from './rows.ts';
import { openAt, temporaryFolder } from './support.ts';

test('a folder that goes away: nothing is acknowledged, no empty database takes its place, and it is found again', async () => {
  const root = temporaryFolder();
  const folder = join(root, 'data');
  const { database, lines } = await openAt(null, folder);
  await database.revocations.insert(revocationRow('before'));
  const heard: string[] = [];

  renameSync(folder, join(root, 'away'));
  await expect(database.revocations.insert(revocationRow('lost'))).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    statusCode: 503,
    message: expect.stringContaining('was removed or replaced'),
  });
  await expect(database.revocations.all()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(database.status()).toMatchObject({ connected: false });
  await until(() => lines.some(({ message }) => message === 'database lost'), 'the loss is logged');
  expect(existsSync(folder)).toBe(false);

  database.onChange((topic) => heard.push(topic));
  renameSync(join(root, 'away'), folder);
  await until(() => database.status().connected, 'the file is found again');
  await database.revocations.insert(revocationRow('after'));
  expect((await database.revocations.all()).map(({ id }) => id)).toEqual(['after', 'before']);
  // What others wrote meanwhile is not known, so every topic is read again.
  expect(new Set(heard)).toEqual(new Set(['agents', 'api_keys', 'policy', 'revocations']));
});

test('a removed file is noticed by itself, and an empty one in its place is not taken for it', async () => {
  const folder = join(temporaryFolder(), 'data');
  const { database } = await openAt(null, folder);
  await database.revocations.insert(revocationRow('before'));
  rmSync(folder, { recursive: true });
  await until(() => !database.status().connected, 'the loss is noticed', 4_000);
  mkdirSync(folder);
  writeFileSync(join(folder, 'sage.db'), '');
  await until(() => database.status().lastError.includes('another schema'), 'the empty file is refused');
  await expect(database.revocations.all()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
});
