/** What is PostgreSQL's own: how values are read, how nodes tell each other, and what its failures mean. */
import pg from 'pg';
import type { Topic } from '../database.ts';
import type { Statement } from '../executor.ts';
import type { Fault } from '../faults.ts';

/** On which every node listens. */
export const CHANNEL = 'sage_topics';

/** Held by who migrates: the first eight bytes of "sage migrate", as one signed number. */
export const MIGRATION_LOCK = 0x73616765206d6967n;

/** Whether the server takes writes: a standby does not, nor does one that was told so. */
export const READ_ONLY_QUERY =
  "select case when pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' then 1 else 0 end as read_only";

const BIGINT = 20;

/** Numbers here are counts and milliseconds, which a double holds exactly; pg gives 64-bit ones as text by default. */
export function createTypes(): pg.TypeOverrides {
  const types = new pg.TypeOverrides();
  types.setTypeParser(BIGINT, Number);
  return types;
}

/** Sent when the transaction commits, and not at all when it is rolled back. */
export const announcement = (topic: Topic): Statement => ({
  sql: `select pg_notify('${CHANNEL}', topic || ' ' || version) as told from topics where topic = $1`,
  values: [topic],
});

/** Of an error of the server; empty for one of the connection. */
function sqlState(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const code: unknown = Reflect.get(error, 'code');
  // Those of the system, such as ECONNRESET, have another form.
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : '';
}

const UNIQUE_VIOLATION = '23505';
export const isTaken = (error: unknown): boolean => sqlState(error) === UNIQUE_VIOLATION;

/** https://www.postgresql.org/docs/current/errcodes-appendix.html; whatever is not here is `unavailable`. */
const KINDS: Readonly<Record<string, Fault['kind']>> = {
  // read_only_sql_transaction
  '25006': 'read_only',
  // disk_full
  '53100': 'full',
  // too_many_connections
  '53300': 'busy',
  // serialization_failure, deadlock_detected, lock_not_available
  '40001': 'busy',
  '40P01': 'busy',
  '55P03': 'busy',
};
const TEXTS: Readonly<Record<string, string>> = {
  // query_canceled: nobody else cancels what the gateway asks
  '57014': 'the statement took longer than DATABASE_STATEMENT_TIMEOUT_MS',
  '55P03': 'another transaction holds the rows',
};

/** The words of the server or the system. Values, and so what the rows hold, stand in other fields of the error. */
function wordsOf(error: unknown): string {
  // Of an address with several endpoints, all of which failed.
  if (error instanceof AggregateError) return wordsOf(error.errors[0]);
  return error instanceof Error ? error.message || error.name : String(error);
}

export function faultOf(error: unknown, endpoint: string): Fault {
  const state = sqlState(error);
  const text = `${endpoint}: ${TEXTS[state] ?? wordsOf(error)}`;
  return { kind: KINDS[state] ?? 'unavailable', text };
}

/** The connection is of no use any more: it broke, or the server is going down (class 57P). */
export const isConnectionLost = (error: unknown): boolean => {
  const state = sqlState(error);
  return state === '' || state.startsWith('57P') || state.startsWith('08');
};
