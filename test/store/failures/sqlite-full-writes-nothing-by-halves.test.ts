import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { canMount, mounting, startChild, temporaryFolder } from './support.ts';

test.skipIf(!canMount())(
  'a disk of 4 MB that is full: writes fail as full and whole, reads go on, room heals',
  async () => {
    const folder = join(temporaryFolder(), 'small');
    mkdirSync(folder);
    const small = mounting(`mount -t tmpfs -o size=4m tmpfs '${folder}'`);
    const child = startChild(new URL('./full-disk-process.ts', import.meta.url), [folder], small);
    const said = JSON.parse(await child.next()) as Record<string, unknown>;
    expect(said).toMatchObject({
      decisions: 'STORE_FULL',
      revocation: 'STORE_FULL',
      full: { connected: true, writable: false, lastError: expect.stringContaining('full') },
      readable: ['before'],
      halves: 0,
      recovered: true,
      after: 'written',
      integrity: { integrity_check: 'ok' },
      kept: [{ id: 'after' }, { id: 'before' }],
    });
    expect(said.filled).toBeGreaterThan(1_000_000);
  },
);
