/** What is SQLite's own: how it opens, how it numbers values, and what its failures mean. */
import { closeSync, constants, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Value } from '../executor.ts';
import type { Fault } from '../faults.ts';

/** The owner alone: hashes of keys stand in it. SQLite gives the files beside it the same mode. */
const FILE_MODE = 0o600;
/** What the write-ahead log shrinks to again after a burst. */
const LOG_BYTES_KEPT = 16_777_216;

/** Primary result codes, https://www.sqlite.org/rescode.html. */
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const FULL = 13;
const NOTADB = 26;
/** Extended ones: a unique index, a primary key, and no room for the index of the write-ahead log. */
const CONSTRAINT_UNIQUE = 2067;
const CONSTRAINT_PRIMARYKEY = 1555;
const IOERR_SHMSIZE = 4874;

/**
 * `$1` is a name to SQLite, and `node:sqlite` takes `?1` for one before Node 24.8. So each place becomes a bare `?`.
 * @returns the text, and which value belongs to each `?`
 */
export function bindable(sql: string): { readonly text: string; readonly order: readonly number[] } {
  const order: number[] = [];
  const text = sql.replaceAll(/\$(\d+)/g, (_place, number: string) => {
    order.push(Number(number) - 1);
    return '?';
  });
  return { text, order };
}

/** The values of a statement in the order in which its text has them. */
export const ordered = (order: readonly number[], values: readonly Value[]): Value[] =>
  order.map((at) => values[at] ?? null);

/**
 * Opens the file, made with its folder when it is not there and `create` allows it.
 *
 * The write-ahead log lets readers of other processes go on while one writes. FULL syncs it with every transaction:
 * a revocation that was acknowledged must be there after a power failure; batches share the cost.
 * @param busyMs how long a lock of another process is waited for
 */
export function openFile(file: string, busyMs: number, create: boolean): DatabaseSync {
  if (create) mkdirSync(dirname(file), { recursive: true });
  // Opened for writing first: SQLite by itself would go on read-only, and say so only at the first write.
  const { O_RDWR, O_CREAT } = constants;
  closeSync(openSync(file, create ? O_RDWR | O_CREAT : O_RDWR, FILE_MODE));
  const database = new DatabaseSync(file, { timeout: busyMs });
  try {
    database.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
      pragma journal_size_limit = ${LOG_BYTES_KEPT};`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Which file stands at a path: another one, or none, means that what is open is not what others see. */
export function identityOf(file: string): string | null {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats === undefined ? null : `${stats.dev}:${stats.ino}`;
}

const numberOf = (error: Error, name: string): number => {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'number' ? value : 0;
};

export function isTaken(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = numberOf(error, 'errcode');
  return code === CONSTRAINT_UNIQUE || code === CONSTRAINT_PRIMARYKEY;
}

/** What a failure of SQLite or of the file system means for whoever asked. */
export function faultOf(error: unknown, file: string): Fault {
  if (!(error instanceof Error)) return { kind: 'unavailable', text: `${file}: ${String(error)}` };
  const text = `${file}: ${error.message}`;
  const code: unknown = Reflect.get(error, 'code');
  if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') return { kind: 'read_only', text };
  if (code === 'ENOSPC' || code === 'EDQUOT') return { kind: 'full', text };
  const extended = numberOf(error, 'errcode');
  switch (extended & 0xff) {
    case BUSY:
    case LOCKED:
      return { kind: 'busy', text: `${file}: another process holds it` };
    case READONLY:
      return { kind: 'read_only', text };
    case FULL:
      return { kind: 'full', text };
    case NOTADB:
      return { kind: 'schema', text };
    case IOERR:
      return { kind: extended === IOERR_SHMSIZE ? 'full' : 'unavailable', text };
    default:
      return { kind: 'unavailable', text };
  }
}
