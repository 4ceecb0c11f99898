/** Migrations by hand, for the command line: the gateway itself applies what is pending when it starts. */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { faultError, faultIn } from './faults.ts';
import {
  type MigrationPort,
  type MigrationState,
  migrateDown,
  migrateUp,
  migrationStates,
} from './migrations.ts';
import { sqliteFile } from './open-database.ts';
import { withMigrations } from './postgresql/migration-port.ts';
import { addressOf } from './postgresql/settings.ts';
import { faultOf, openFile } from './sqlite/dialect.ts';
import { sqliteMigrationPort } from './sqlite/migration-port.ts';

/** How long another process that migrates is waited for. */
const LOCK_MS = 10_000;

export interface MigrationTarget {
  /** `postgres:` or `postgresql:`; null: SQLite in `dataDir`. */
  readonly databaseUrl: string | null;
  readonly dataDir: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export type MigrationOrder =
  /** Applies what is pending, up to and with the number `to`; all of it when left out. */
  | { readonly direction: 'up'; readonly to?: number }
  /** Takes back what has a greater number than `to`: 0 leaves nothing. What those tables held is lost. */
  | { readonly direction: 'down'; readonly to: number };

export interface MigrationReport {
  readonly kind: 'sqlite' | 'postgresql';
  /** File, or host, port and database; no credentials. */
  readonly endpoint: string;
  /** What was applied or taken back, in that order, such as `0001_operators`. */
  readonly changed: readonly string[];
  /** Where each migration stands now, by number. */
  readonly migrations: readonly MigrationState[];
}

/**
 * Migrates up or down: as a whole or not at all, and one process at a time.
 * @throws {StoreUnavailable, StoreBusy, StoreReadOnly, StoreFull, StoreSchemaUnknown}
 */
export function migrate(target: MigrationTarget, order: MigrationOrder): Promise<MigrationReport> {
  return connected(target, true, async (port) =>
    order.direction === 'up' ? migrateUp(port, target.now(), order.to) : migrateDown(port, order.to),
  );
}

/**
 * Where each migration stands; changes nothing, and makes no file.
 * @throws {StoreUnavailable, StoreBusy, StoreReadOnly}
 */
export function migrationStatus(target: MigrationTarget): Promise<MigrationReport> {
  return connected(target, false, async () => []);
}

async function connected(
  { databaseUrl, dataDir }: MigrationTarget,
  create: boolean,
  work: (port: MigrationPort) => Promise<string[]>,
): Promise<MigrationReport> {
  if (databaseUrl !== null) {
    const address = addressOf(databaseUrl);
    return withMigrations(address, async (port) => {
      const changed = await work(port);
      const migrations = await migrationStates(port);
      return { kind: port.kind, endpoint: address.endpoint, changed, migrations };
    });
  }
  const file = sqliteFile(dataDir);
  try {
    using database =
      create || existsSync(file) ? openFile(file, LOCK_MS, create) : new DatabaseSync(':memory:');
    const port = sqliteMigrationPort(database);
    const changed = await work(port);
    return { kind: 'sqlite', endpoint: file, changed, migrations: await migrationStates(port) };
  } catch (error) {
    throw faultIn(error) === null ? faultError(faultOf(error, file)) : error;
  }
}
