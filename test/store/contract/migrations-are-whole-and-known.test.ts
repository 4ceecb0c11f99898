import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { migrate, migrationStatus } from '../../../src/store/migrate.ts';
import { openDatabase } from '../../../src/store/open-database.ts';
import { sharedPostgres } from '../../support/postgres.ts';
import { NOW, onEveryDatabase } from './support.ts';

/** Of this release, in their order. */
const ALL = ['operators', 'tombstones', 'frequent_dids'];
const LABELS = ALL.map((name, at) => `000${at + 1}_${name}`);

onEveryDatabase(({ kind, place }) => {
  async function run(sql: string): Promise<void> {
    const { options } = await place();
    if (options.databaseUrl !== null) {
      const server = await sharedPostgres();
      await server.run(sql, new URL(options.databaseUrl).pathname.slice(1));
      return;
    }
    using file = new DatabaseSync(join(options.dataDir, 'sage.db'));
    file.exec(sql);
  }

  test('up and down and up again; what is done is not done twice', async () => {
    const { options } = await place();
    const target = { ...options, now: () => NOW };
    expect(await migrationStatus(target)).toMatchObject({
      kind,
      changed: [],
      migrations: ALL.map((name, at) => ({ number: at + 1, name, state: 'pending', appliedAtMs: null })),
    });
    expect(await migrate(target, { direction: 'up', to: 0 })).toMatchObject({ changed: [] });
    expect(await migrate(target, { direction: 'up' })).toMatchObject({
      changed: LABELS,
      migrations: ALL.map(() => ({ state: 'applied', appliedAtMs: NOW })),
    });
    expect((await migrate(target, { direction: 'up' })).changed).toEqual([]);
    expect((await migrate(target, { direction: 'down', to: 0 })).changed).toEqual(LABELS.toReversed());
    expect((await migrate(target, { direction: 'down', to: 0 })).changed).toEqual([]);
    const database = await openDatabase(options);
    await database.agents.insert('a', '{}', 'key:one', NOW);
    await database.close();
  });

  test('a migration that fails midway leaves nothing', async () => {
    const { options } = await place();
    await migrate(options, { direction: 'down', to: 0 });
    // The first table that is made afterwards is in its way.
    await run('create table checkpoints (mine int)');
    await expect(openDatabase({ ...options, startMs: 0 })).rejects.toMatchObject({
      message: expect.stringContaining('checkpoints'),
    });
    expect((await migrationStatus(options)).migrations).toMatchObject(ALL.map(() => ({ state: 'pending' })));
    await expect(run('select * from topics')).rejects.toThrow(/topics/);
    await run('drop table checkpoints');
    await (await openDatabase(options)).close();
  });

  test('a database of a later release, or one whose migration was changed, is refused by name', async () => {
    const { options } = await place();
    await run("insert into schema_migrations values (7, 'later', 'x', 1)");
    const refused = [
      () => openDatabase(options),
      () => migrate(options, { direction: 'up' }),
      () => migrate(options, { direction: 'down', to: 0 }),
    ];
    for (const work of refused)
      await expect(work()).rejects.toMatchObject({
        code: 'STORE_SCHEMA_UNKNOWN',
        message: expect.stringContaining('0007_later'),
      });
    expect((await migrationStatus(options)).migrations).toMatchObject([
      ...ALL.map((name, at) => ({ number: at + 1, name, state: 'applied' })),
      { number: 7, name: 'later', state: 'unknown' },
    ]);
    await run('delete from schema_migrations where number = 7');
    await run("update schema_migrations set checksum = 'another'");
    await expect(openDatabase(options)).rejects.toMatchObject({
      code: 'STORE_SCHEMA_UNKNOWN',
      message: expect.stringContaining('0001_operators'),
    });
    expect((await migrationStatus(options)).migrations).toMatchObject(ALL.map(() => ({ state: 'changed' })));
  });
});

test('asking makes no file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sage-store-'));
  try {
    await migrationStatus({ databaseUrl: null, dataDir: folder, now: () => NOW });
    expect(existsSync(join(folder, 'sage.db'))).toBe(false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
