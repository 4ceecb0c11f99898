/**
 * Brings the schema up or down. All that is pending runs in one transaction under one lock, so that of several
 * processes that start at once one migrates, the others wait for it, and none ever sees half of it.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { Row, Value } from './executor.ts';
import { faultError } from './faults.ts';
import { integer, text } from './rows/columns.ts';

/** One connection, in one transaction that keeps others from migrating. */
export interface MigrationSession {
  /** Rows of one statement. */
  query(sql: string, values?: readonly Value[]): readonly Row[] | Promise<readonly Row[]>;
  /** Any number of statements, without values. */
  script(sql: string): void | Promise<void>;
}

/** How a database is migrated. */
export interface MigrationPort {
  readonly kind: 'sqlite' | 'postgresql';
  /** Runs under the lock, in a transaction that is rolled back when `work` throws. @throws StoreBusy */
  locked<T>(work: (session: MigrationSession) => Promise<T>): Promise<T>;
  /** Runs without lock. */
  unlocked<T>(work: (session: MigrationSession) => Promise<T>): Promise<T>;
}

interface Migration {
  readonly number: number;
  readonly name: string;
  readonly up: string;
  readonly down: string;
  /** SHA-256 of `up`, hex. */
  readonly checksum: string;
}

export interface MigrationState {
  readonly number: number;
  readonly name: string;
  /** `unknown`: applied by another release; `changed`: its file is not what was applied. */
  readonly state: 'applied' | 'pending' | 'unknown' | 'changed';
  readonly appliedAtMs: number | null;
}

/** Beside `src` in the sources and beside `dist` in the package. */
const FOLDER = new URL('../../migrations/', import.meta.url);
const FILE = /^(\d{4})_([a-z0-9_]+)\.(up|down)\.sql$/;

const TABLE = `create table if not exists schema_migrations (
  number bigint primary key, name text not null, checksum text not null, applied_at_ms bigint not null)`;
const TABLE_EXISTS = {
  sqlite: "select count(*) as found from sqlite_schema where type = 'table' and name = 'schema_migrations'",
  postgresql:
    "select count(*) as found from information_schema.tables where table_schema = current_schema() and table_name = 'schema_migrations'",
} as const;

function readMigrations(kind: MigrationPort['kind']): Migration[] {
  const folder = new URL(`${kind}/`, FOLDER);
  const found = new Map<number, { name: string; up?: string; down?: string }>();
  for (const file of readdirSync(folder).sort()) {
    const [, digits, name, direction] = FILE.exec(file) ?? [];
    if (digits === undefined || name === undefined) throw new Error(`${file}: not the name of a migration`);
    const migration = found.get(Number(digits)) ?? { name };
    // A checkout with other line ends is the same migration.
    const sql = readFileSync(new URL(file, folder), 'utf8').replaceAll('\r\n', '\n');
    found.set(Number(digits), { ...migration, [direction === 'up' ? 'up' : 'down']: sql });
  }
  return Array.from(found, ([number, { name, up, down }]) => {
    if (up === undefined || down === undefined)
      throw new Error(`migration ${number} lacks its up or its down`);
    return { number, name, up, down, checksum: createHash('sha256').update(up).digest('hex') };
  });
}

async function readStates(
  session: MigrationSession,
  kind: MigrationPort['kind'],
  known: readonly Migration[],
): Promise<MigrationState[]> {
  const [table] = await session.query(TABLE_EXISTS[kind]);
  const rows =
    table === undefined || integer(table, 'found') === 0
      ? []
      : await session.query('select number, name, checksum, applied_at_ms from schema_migrations');
  const applied = new Map(rows.map((row) => [integer(row, 'number'), row]));
  const states = known.map(({ number, name, checksum }): MigrationState => {
    const row = applied.get(number);
    applied.delete(number);
    if (row === undefined) return { number, name, state: 'pending', appliedAtMs: null };
    const state = text(row, 'checksum') === checksum ? 'applied' : 'changed';
    return { number, name, state, appliedAtMs: integer(row, 'applied_at_ms') };
  });
  for (const [number, row] of applied) {
    const appliedAtMs = integer(row, 'applied_at_ms');
    states.push({ number, name: text(row, 'name'), state: 'unknown', appliedAtMs });
  }
  return states.sort((a, b) => a.number - b.number);
}

const label = ({ number, name }: { readonly number: number; readonly name: string }): string =>
  `${String(number).padStart(4, '0')}_${name}`;

const schemaFault = (text: string): Error => faultError({ kind: 'schema', text });

/** @throws {StoreSchemaUnknown} */
function refuseUnknown(states: readonly MigrationState[]): void {
  const unknown = states.filter(({ state }) => state === 'unknown').map(label);
  if (unknown.length > 0) throw schemaFault(`it was migrated by another release (${unknown.join(', ')})`);
  const changed = states.filter(({ state }) => state === 'changed').map(label);
  if (changed.length > 0)
    throw schemaFault(`what was applied differs from this release's ${changed.join(', ')}`);
}

/** Every migration that this release or the database knows, by number. */
export function migrationStates(port: MigrationPort): Promise<MigrationState[]> {
  const known = readMigrations(port.kind);
  return port.unlocked((session) => readStates(session, port.kind, known));
}

/**
 * Applies what is pending, up to the number `to`.
 * @returns the names of what was applied
 * @throws {StoreSchemaUnknown, StoreBusy} and what the database says
 */
export async function migrateUp(port: MigrationPort, nowMs: number, to?: number): Promise<string[]> {
  const known = readMigrations(port.kind);
  const pending = (states: readonly MigrationState[]): Migration[] => {
    refuseUnknown(states);
    const open = new Set(states.filter(({ state }) => state === 'pending').map(({ number }) => number));
    return known.filter(({ number }) => open.has(number) && number <= (to ?? Number.POSITIVE_INFINITY));
  };
  // Nothing to do is by far the commonest, needs no lock, and goes well with a database that only reads.
  if (pending(await migrationStates(port)).length === 0) return [];
  return port.locked(async (session) => {
    await session.script(TABLE);
    const migrations = pending(await readStates(session, port.kind, known));
    for (const { number, name, up, checksum } of migrations) {
      await session.script(up);
      await session.query(
        'insert into schema_migrations (number, name, checksum, applied_at_ms) values ($1, $2, $3, $4)',
        [number, name, checksum, nowMs],
      );
    }
    return migrations.map(label);
  });
}

/**
 * Takes back, newest first, what has a greater number than `to`; what it held is lost.
 * @returns the names of what was taken back
 * @throws {StoreSchemaUnknown, StoreBusy} and what the database says
 */
export function migrateDown(port: MigrationPort, to: number): Promise<string[]> {
  const known = readMigrations(port.kind);
  return port.locked(async (session) => {
    await session.script(TABLE);
    const states = await readStates(session, port.kind, known);
    refuseUnknown(states);
    const applied = new Set(states.filter(({ state }) => state === 'applied').map(({ number }) => number));
    const undone = known.filter(({ number }) => number > to && applied.has(number)).reverse();
    for (const { number, down } of undone) {
      await session.script(down);
      await session.query('delete from schema_migrations where number = $1', [number]);
    }
    return undone.map(label);
  });
}
