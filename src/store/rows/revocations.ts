import type { RevocationRow, RevocationRows } from '../database.ts';
import type { Executor, Row } from '../executor.ts';
import { integer, integerOrNull, text, textOrNull } from './columns.ts';

const COLUMNS = 'id, did, key_id, reason, created_at_ms, created_by, expires_at_ms';

const read = (row: Row): RevocationRow => ({
  id: text(row, 'id'),
  did: text(row, 'did'),
  keyId: textOrNull(row, 'key_id'),
  reason: text(row, 'reason'),
  createdAtMs: integer(row, 'created_at_ms'),
  createdBy: text(row, 'created_by'),
  expiresAtMs: integerOrNull(row, 'expires_at_ms'),
});

export function revocationRows(db: Executor): RevocationRows {
  return {
    async all() {
      return (
        await db.read('revocations', `select ${COLUMNS} from revocations order by created_at_ms, id`)
      ).map(read);
    },
    async insert(row) {
      const subject = row.keyId ?? row.did;
      // One that has ended says nothing any more, and must not stand in the way of a new one.
      const forget = {
        sql: `delete from revocations where did = $1 and coalesce(key_id, '') = $2 and expires_at_ms <= $3`,
        values: [row.did, row.keyId ?? '', row.createdAtMs],
      };
      const insert = {
        sql: `insert into revocations (${COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7)`,
        values: [row.id, row.did, row.keyId, row.reason, row.createdAtMs, row.createdBy, row.expiresAtMs],
        whenTaken: { kind: 'exists', text: `a revocation of ${subject}` },
      } as const;
      await db.write('revocations', [forget, insert], 'revocations');
    },
    async remove(id) {
      const remove = {
        sql: 'delete from revocations where id = $1',
        values: [id],
        whenNone: { kind: 'missing', text: `a revocation "${id}"` },
      } as const;
      await db.write('revocations', [remove], 'revocations');
    },
  };
}
