/** What the rows' modules are written against, once for every database: statements in, rows out. */
import type { Topic } from './database.ts';
import type { RowFault } from './faults.ts';

/** What both databases hold alike. */
export type Value = string | number | null;
export type Row = Readonly<Record<string, unknown>>;

export interface Statement {
  /** Values stand as `$1`, `$2`, … and are never written into the text. */
  readonly sql: string;
  readonly values: readonly Value[];
  /** The transaction fails with it when this statement changes and answers no row. */
  readonly whenNone?: RowFault;
  /** The transaction fails with it when a unique key is taken. */
  readonly whenTaken?: RowFault;
}

export interface Result {
  readonly rows: readonly Row[];
  /** Rows that were changed; without meaning for a statement that only reads. */
  readonly changes: number;
}

/** What a call is about, for its metric. */
export const OPERATIONS = [
  'agents',
  'api_keys',
  'revocations',
  'checkpoints',
  'tombstones',
  'frequent_dids',
  'decisions',
  'policies',
  'idempotency',
  'probe',
] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Executor {
  read(operation: Operation, sql: string, values?: readonly Value[]): Promise<readonly Row[]>;
  /**
   * All statements in one transaction, or none. Writes of one topic come one after the other, over all nodes; its
   * listeners are told once it is written.
   */
  write(operation: Operation, statements: readonly Statement[], topic?: Topic): Promise<readonly Result[]>;
}

/** One database: how statements reach it. Rejects with the coded errors only. */
export interface Driver {
  readonly kind: 'sqlite' | 'postgresql';
  /** File, or host, port and database; no credentials. */
  readonly endpoint: string;
  read(statement: Statement): Promise<readonly Row[]>;
  write(statements: readonly Statement[]): Promise<readonly Result[]>;
  /** Tells other nodes, within the transaction that changed the topic; null where they can only ask. */
  announcement(topic: Topic): Statement | null;
  /** Whether the database itself says that it takes no writes. */
  readonly readOnlyQuery: string | null;
  load(): { readonly waiting: number; readonly inUse: number; readonly size: number; readonly shed: number };
  /** Finishes what was begun. */
  close(): Promise<void>;
}

/** What a driver reports by itself. */
export interface DriverEvents {
  /** Another node announced that a topic has this version. */
  heard(topic: string, version: number): void;
  /** Announcements may have been missed. */
  missed(): void;
  /** The database is away, though no call found out. */
  lost(why: string): void;
  /** It may be: it is asked at once. */
  doubted(): void;
}

/**
 * Both databases hold values alike. PostgreSQL takes neither NUL nor half a surrogate pair in text, and SQLite would
 * give back something else than it was given. No column holds a fraction.
 */
export function storable(value: Value): Value {
  if (typeof value === 'number') return Math.round(value);
  if (value === null) return value;
  const text = value.isWellFormed() ? value : value.toWellFormed();
  return text.includes('\0') ? text.replaceAll('\0', '\u{fffd}') : text;
}
