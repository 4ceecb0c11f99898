import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDatabase } from '../../../src/store/open-database.ts';
import { placeAt } from '../contract/support.ts';
import { canMount, mounting, startChild, temporaryFolder } from './support.ts';

interface Said {
  readonly code: string;
  readonly message: string;
  readonly ms: number;
}

async function openReadOnly(folder: string): Promise<Said> {
  // Permissions do not bind root; a mount that is read-only does.
  const before =
    process.getuid?.() === 0
      ? mounting(`mount --bind '${folder}' '${folder}' && mount -o remount,ro,bind '${folder}'`)
      : [];
  if (before.length === 0) chmodSync(folder, 0o500);
  const said = await startChild(new URL('./read-only-process.ts', import.meta.url), [folder], before).next();
  chmodSync(folder, 0o700);
  return JSON.parse(said) as Said;
}

test.skipIf(process.getuid?.() === 0 && !canMount()).each([
  ['with a database in it', true],
  ['without', false],
])('a read-only folder, %s, is refused at once and by name', async (_what, existing) => {
  const folder = join(temporaryFolder(), 'data');
  mkdirSync(folder);
  if (existing) {
    const database = await openDatabase(placeAt(null, folder).options);
    await database.close();
    chmodSync(join(folder, 'sage.db'), 0o400);
  }
  const { code, message, ms } = await openReadOnly(folder);
  expect({ code, message }).toMatchObject({
    code: 'STORE_READ_ONLY',
    message: expect.stringContaining(join(folder, 'sage.db')),
  });
  // Waiting would change nothing, so it is not tried again.
  expect(ms).toBeLessThan(2_000);
});
