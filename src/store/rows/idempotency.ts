import type { IdempotencyRows, IdempotencyState } from '../database.ts';
import type { Executor, Row, Statement } from '../executor.ts';
import { integer, only, text } from './columns.ts';

/** No request of ours runs longer: who began it is gone. */
const RUNNING_MS_MAX = 60_000;
/** Each new key removes this many that have ended, so that a burst of them is worked off without a timer. */
const FORGOTTEN_AT_ONCE = 100;

const FORGET = `delete from idempotency_keys where (actor, key) in
  (select actor, key from idempotency_keys where begun_at_ms < $1 order by begun_at_ms limit ${FORGOTTEN_AT_ONCE})`;
const FORGET_THIS = `delete from idempotency_keys where actor = $1 and key = $2
  and (begun_at_ms < $3 or (status is null and begun_at_ms < $4))`;
const BEGIN = `insert into idempotency_keys (actor, key, request_hash, begun_at_ms, status, body)
  values ($1, $2, $3, $4, null, null) on conflict (actor, key) do nothing`;
const FIND = 'select request_hash, status, body from idempotency_keys where actor = $1 and key = $2';

function stateOf(row: Row, requestHash: string): IdempotencyState {
  if (text(row, 'request_hash') !== requestHash) return { state: 'other' };
  if (row.status === null) return { state: 'running' };
  return { state: 'done', status: integer(row, 'status'), body: text(row, 'body') };
}

export function idempotencyRows(db: Executor): IdempotencyRows {
  return {
    async begin(actor, key, requestHash, atMs, ttlMs) {
      const statements: Statement[] = [
        { sql: FORGET, values: [atMs - ttlMs] },
        { sql: FORGET_THIS, values: [actor, key, atMs - ttlMs, atMs - RUNNING_MS_MAX] },
        { sql: BEGIN, values: [actor, key, requestHash, atMs] },
        { sql: FIND, values: [actor, key] },
      ];
      const [, , begun, found] = await db.write('idempotency', statements);
      if (begun?.changes === 1) return { state: 'begun' };
      return stateOf(only(found?.rows), requestHash);
    },
    async finish(actor, key, status, body) {
      const sql =
        'update idempotency_keys set status = $3, body = $4 where actor = $1 and key = $2 and status is null';
      await db.write('idempotency', [{ sql, values: [actor, key, status, body] }]);
    },
    async abandon(actor, key) {
      const sql = 'delete from idempotency_keys where actor = $1 and key = $2 and status is null';
      await db.write('idempotency', [{ sql, values: [actor, key] }]);
    },
  };
}
