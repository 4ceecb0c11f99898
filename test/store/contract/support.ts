/** One suite for every database: each test runs on all of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import type { Database } from '../../../src/store/database.ts';
import { type DatabaseOptions, openDatabase } from '../../../src/store/open-database.ts';
import { ensurePostgres } from '../../support/ensure-postgres.ts';
import { sharedPostgres } from '../../support/postgres.ts';

export interface LogEntry {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: object;
}

export interface Place {
  readonly options: DatabaseOptions;
  readonly lines: readonly LogEntry[];
}

/** Milliseconds since the epoch of every test's clock. */
export const NOW = 1_800_000_000_000;

export function placeAt(databaseUrl: string | null, dataDir: string): Place {
  const lines: LogEntry[] = [];
  const at = (level: LogEntry['level']) => (fields: object, message: string) =>
    void lines.push({ level, message, fields });
  const log = { info: at('info'), warn: at('warn'), error: at('error') };
  const options = { databaseUrl, dataDir, poolMax: 4, statementTimeoutMs: 2_000, log, now: () => NOW };
  return { options, lines };
}

export interface Databases {
  readonly kind: 'sqlite' | 'postgresql';
  /** Another connection to the same rows, as another node has it; closed after the tests. */
  readonly open: () => Promise<Database>;
  /** Where they are. */
  readonly place: () => Promise<Place>;
}

/** Runs `tests` once for each database, with an empty one of its own. */
export function onEveryDatabase(tests: (databases: Databases) => void): void {
  describe('on sqlite', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sage-store-'));
    afterAll(() => rmSync(folder, { recursive: true, force: true }));
    const place = async (): Promise<Place> => placeAt(null, folder);
    tests({ kind: 'sqlite', place, open: opening(place) });
  });
  describe.skipIf(ensurePostgres() === null)('on postgresql', () => {
    let url: Promise<string> | null = null;
    const place = async (): Promise<Place> => {
      url ??= sharedPostgres().then((server) => server.createDatabase());
      return placeAt(await url, '/nowhere');
    };
    tests({ kind: 'postgresql', place, open: opening(place) });
  });
}

function opening(place: () => Promise<Place>): Databases['open'] {
  const opened: Database[] = [];
  afterAll(async () => {
    for (const database of opened) await database.close();
  });
  return async () => {
    const database = await openDatabase((await place()).options);
    opened.push(database);
    return database;
  };
}
