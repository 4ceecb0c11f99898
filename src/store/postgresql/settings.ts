/** How the gateway connects. TLS is what `sslmode` and its like in the URL say. */
import pg from 'pg';
import { faultError } from '../faults.ts';
import { createTypes } from './dialect.ts';

/** Above the statements' own bound, until a server that says nothing counts as hung. */
export const GRACE_MS = 250;

export interface PostgresAddress {
  readonly url: string;
  /** Host, port and database. */
  readonly endpoint: string;
}

/** @throws {StoreUnavailable} without repeating the URL, which holds the password */
export function addressOf(url: string): PostgresAddress {
  try {
    const { host, port, database } = new pg.Client({ connectionString: url });
    return { url, endpoint: `${host}:${port}/${database ?? ''}` };
  } catch {
    throw faultError({ kind: 'unavailable', text: 'DATABASE_URL cannot be read' });
  }
}

/**
 * A statement ends by the server's own clock; a lock is given up at half of that, so that it can be told from a slow
 * statement; and a transaction that this process forgot is ended by the server.
 */
export function clientSettings({ url }: PostgresAddress, timeoutMs: number): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'sage-gateway',
    connectionTimeoutMillis: timeoutMs,
    statement_timeout: timeoutMs,
    lock_timeout: Math.max(1, Math.floor(timeoutMs / 2)),
    idle_in_transaction_session_timeout: 2 * timeoutMs,
    keepAlive: true,
    types: createTypes(),
  };
}
