import { expect, test } from 'vitest';
import { onEveryDatabase } from '../contract/support.ts';
import { startChild } from './support.ts';

const PROCESSES = 6;

onEveryDatabase(({ open, place }) => {
  test('processes that start on an empty database at once: one migrates, all serve', async () => {
    const { options } = await place();
    const args = [options.dataDir, options.databaseUrl ?? ''];
    const children = Array.from({ length: PROCESSES }, () =>
      startChild(new URL('./migrating-process.ts', import.meta.url), args),
    );
    for (const child of children) expect(await child.next()).toBe('ready');
    for (const child of children) child.process.stdin?.end();
    const applied = await Promise.all(children.map((child) => child.next()));
    expect(applied.map(Number).reduce((sum, one) => sum + one, 0)).toBe(1);
    const { agents } = await open();
    expect(await agents.all()).toHaveLength(PROCESSES);
  }, 60_000);
});
