import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Database, RevocationRow } from '../../../src/store/database.ts';
import { openDatabase } from '../../../src/store/open-database.ts';
import { createDenyList } from '../../../src/trust/did/deny-list.ts';
import { openStoredDenials } from '../../../src/trust/did/stored-denials.ts';
import { keptLog, until } from '../../store/support.ts';

const log = keptLog();
let folder: string;
let database: Database;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sage-denials-'));
  database = await openDatabase({
    databaseUrl: null,
    dataDir: folder,
    poolMax: 2,
    statementTimeoutMs: 2_000,
    log,
    now: Date.now,
  });
});
afterEach(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

const rowOf = (id: string, expiresAtMs: number | null = null): RevocationRow => ({
  id,
  did: `did:key:z${id}`,
  keyId: null,
  reason: '',
  createdAtMs: Date.now(),
  createdBy: 'key:ops',
  expiresAtMs,
});

/** The rows of a real database, of which reading can be made to fail while writing goes on. */
async function open() {
  const denied = createDenyList(Date.now);
  const closed: string[] = [];
  const state = { unreadable: false };
  const denials = await openStoredDenials({
    database: {
      onChange: (listener) => database.onChange(listener),
      revocations: {
        ...database.revocations,
        all: () =>
          state.unreadable ? Promise.reject(new Error('gone between two calls')) : database.revocations.all(),
      },
    },
    denied,
    close(did) {
      closed.push(did);
      return Promise.resolve(3);
    },
    log,
    now: Date.now,
  });
  return { denials, denied, closed, state };
}

test('what was written is in force when answered, though it cannot be read back; and so is a lifting', async () => {
  const { denials, denied, closed, state } = await open();
  state.unreadable = true;
  expect(await denials.add(rowOf('a'))).toBe(3);
  expect(denied.why('did:key:za', null)).toBe('did_denied');
  expect(closed).toEqual(['did:key:za']);
  expect(denials.behindSinceMs()).not.toBeNull();
  await denials.remove('a');
  expect(denied.why('did:key:za', null)).toBeNull();
  state.unreadable = false;
  await until(() => denials.behindSinceMs() === null);
  expect(denials.rows()).toEqual([]);
  await denials.stop();
});

test('what cannot be written denies nobody', async () => {
  const { denials, denied, closed } = await open();
  await denials.add(rowOf('a'));
  await expect(denials.add(rowOf('a'))).rejects.toMatchObject({ code: 'ROW_EXISTS' });
  await expect(denials.remove('unknown')).rejects.toMatchObject({ code: 'ROW_MISSING' });
  await database.close();
  await expect(denials.add(rowOf('b'))).rejects.toThrow();
  expect(denied.why('did:key:zb', null)).toBeNull();
  await expect(denials.remove('a')).rejects.toThrow();
  expect(denied.why('did:key:za', null)).toBe('did_denied');
  expect(closed).toEqual(['did:key:za']);
  await denials.stop();
});

test('what was denied before is denied again when it opens, what has ended is not, and nobody opens blindly', async () => {
  await database.revocations.insert(rowOf('a'));
  await database.revocations.insert(rowOf('old', Date.now() + 1));
  const { denials, denied } = await open();
  expect(denied.why('did:key:za', 'did:key:za#za')).toBe('did_denied');
  await until(() => denied.why('did:key:zold', null) === null);
  await denials.stop();
  await database.close();
  await expect(open()).rejects.toThrow();
});
