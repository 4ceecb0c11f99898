import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openAt, startChild, temporaryFolder } from './support.ts';

test('SIGKILL amid batches: all that was acknowledged is there, and no batch by halves', async () => {
  const folder = temporaryFolder();
  const child = startChild(new URL('./appending-process.ts', import.meta.url), [folder]);
  const acknowledged = new Set<string>();
  child.lines.on('line', (batch) => acknowledged.add(batch));
  while (acknowledged.size < 200) await once(child.lines, 'line');
  const exited = once(child.process, 'close');
  child.process.kill('SIGKILL');
  await exited;

  const { database } = await openAt(null, folder);
  for (const batch of acknowledged) expect(await database.decisions.get(`${batch}-6`), batch).not.toBeNull();
  const file = new DatabaseSync(join(folder, 'sage.db'));
  const ids = file
    .prepare('select request_id from decisions')
    .all()
    .map((row) => String(row.request_id));
  expect(file.prepare('pragma integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
  file.close();
  const rowsOf = Map.groupBy(ids, (id) => id.slice(0, id.lastIndexOf('-')));
  expect([...rowsOf.values()].filter((rows) => rows.length !== 7)).toEqual([]);
  expect(rowsOf.size).toBeGreaterThanOrEqual(acknowledged.size);
  expect(statSync(join(folder, 'sage.db')).mode & 0o777).toBe(0o600);
});
