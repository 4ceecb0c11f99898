import type { ApiKeyRow, ApiKeyRows, ApiKeySecret } from '../database.ts';
import type { Executor, Row, Statement } from '../executor.ts';
import { integer, integerOrNull, only, text, textOrNull } from './columns.ts';
import { listByTime } from './paging.ts';

const COLUMNS =
  'id, name, role, scopes, secret_hash, secret_expires_at_ms, old_secret_hash, old_secret_expires_at_ms, ' +
  'created_at_ms, created_by, expires_at_ms, revoked_at_ms, last_used_at_ms';
const SELECT = `select ${COLUMNS} from api_keys`;
/** Keys revoked or expired longer ago than this are of no use to a cache: an unknown key is refused all the same. */
const LATELY_MS = 86_400_000;

function readScopes(json: string | null): readonly string[] | null {
  if (json === null) return null;
  const scopes: unknown = JSON.parse(json);
  if (!Array.isArray(scopes)) throw new TypeError('column scopes is not a list');
  return scopes.map(String);
}

function readSecrets(row: Row): ApiKeySecret[] {
  const secrets = [
    { hash: text(row, 'secret_hash'), expiresAtMs: integerOrNull(row, 'secret_expires_at_ms') },
  ];
  const old = textOrNull(row, 'old_secret_hash');
  if (old !== null) secrets.push({ hash: old, expiresAtMs: integerOrNull(row, 'old_secret_expires_at_ms') });
  return secrets;
}

const read = (row: Row): ApiKeyRow => ({
  id: text(row, 'id'),
  name: text(row, 'name'),
  role: text(row, 'role'),
  scopes: readScopes(textOrNull(row, 'scopes')),
  secrets: readSecrets(row),
  createdAtMs: integer(row, 'created_at_ms'),
  createdBy: text(row, 'created_by'),
  expiresAtMs: integerOrNull(row, 'expires_at_ms'),
  revokedAtMs: integerOrNull(row, 'revoked_at_ms'),
  lastUsedAtMs: integerOrNull(row, 'last_used_at_ms'),
});

const named = (id: string): string => `an API key "${id}"`;

function insertion(key: Parameters<ApiKeyRows['insert']>[0]): Statement {
  const [secret, old] = key.secrets;
  if (secret === undefined || key.secrets.length > 2)
    throw new RangeError('an API key has one secret, or two while it is rotated');
  return {
    sql: `insert into api_keys (${COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, null, null)`,
    values: [
      key.id,
      key.name,
      key.role,
      key.scopes === null ? null : JSON.stringify(key.scopes),
      secret.hash,
      secret.expiresAtMs,
      old?.hash ?? null,
      old?.expiresAtMs ?? null,
      key.createdAtMs,
      key.createdBy,
      key.expiresAtMs,
    ],
    whenTaken: { kind: 'exists', text: named(key.id) },
  };
}

/** The right side of each assignment sees the row as it was. A secret that ends earlier than that goes on doing so. */
const ROTATE = `update api_keys set
  old_secret_hash = secret_hash,
  old_secret_expires_at_ms = case when secret_expires_at_ms < $4 then secret_expires_at_ms else $4 end,
  secret_hash = $2, secret_expires_at_ms = $3
  where id = $1 and revoked_at_ms is null returning ${COLUMNS}`;

export function apiKeyRows(db: Executor, now: () => number): ApiKeyRows {
  return {
    async all() {
      const live = `${SELECT} where (revoked_at_ms is null or revoked_at_ms > $1) and (expires_at_ms is null or expires_at_ms > $1) order by id`;
      return (await db.read('api_keys', live, [now() - LATELY_MS])).map(read);
    },
    list: (page) => listByTime(SELECT, page, (sql, values) => db.read('api_keys', sql, values), read),
    async get(id) {
      const [row] = await db.read('api_keys', `${SELECT} where id = $1`, [id]);
      return row === undefined ? null : read(row);
    },
    async insert(key) {
      await db.write('api_keys', [insertion(key)], 'api_keys');
    },
    async rotate(id, secret, oldExpiresAtMs) {
      const rotate: Statement = {
        sql: ROTATE,
        values: [id, secret.hash, secret.expiresAtMs, oldExpiresAtMs],
        whenNone: { kind: 'missing', text: named(id) },
      };
      const results = await db.write('api_keys', [rotate], 'api_keys');
      return read(only(results[0]?.rows));
    },
    async revoke(id, atMs) {
      const revoke: Statement = {
        sql: 'update api_keys set revoked_at_ms = coalesce(revoked_at_ms, $2) where id = $1',
        values: [id, atMs],
        whenNone: { kind: 'missing', text: named(id) },
      };
      await db.write('api_keys', [revoke], 'api_keys');
    },
    async noteUsed(ids, atMs) {
      // In one order, so that two nodes never wait for each other.
      const sorted = [...new Set(ids)].sort();
      if (sorted.length === 0) return;
      const sql =
        'update api_keys set last_used_at_ms = $2 where id = $1 and coalesce(last_used_at_ms, 0) < $2';
      await db.write(
        'api_keys',
        sorted.map((id) => ({ sql, values: [id, atMs] })),
      );
    },
  };
}
