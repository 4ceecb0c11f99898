import type { PolicyRow, PolicyRows } from '../database.ts';
import type { Executor, Row, Statement } from '../executor.ts';
import { integer, only, text, textOrNull } from './columns.ts';
import { checkLimit, pageOf, readCursor } from './paging.ts';

const COLUMNS = 'sequence, revision, text, note, created_at_ms, created_by';
const WITHOUT_TEXT = 'sequence, revision, null as text, note, created_at_ms, created_by';
/** A text has at most 1 MiB; nobody goes back further than this. */
const REVISIONS_KEPT = 100;

const read = (row: Row): PolicyRow => ({
  sequence: integer(row, 'sequence'),
  revision: text(row, 'revision'),
  text: textOrNull(row, 'text'),
  note: text(row, 'note'),
  createdAtMs: integer(row, 'created_at_ms'),
  createdBy: text(row, 'created_by'),
});

/** Writers of a topic come one after the other, so the greatest sequence stays what it is until the insertion. */
const NEXT = `insert into policy_revisions (${COLUMNS})
  select coalesce(max(sequence), 0) + 1, cast($1 as text), cast($2 as text), cast($3 as text), cast($4 as bigint), cast($5 as text)
  from policy_revisions returning ${COLUMNS}`;
const IS_LATEST =
  'select 1 as found from (select coalesce(max(sequence), 0) as latest from policy_revisions) as p where p.latest = $1';

export function policyRows(db: Executor): PolicyRows {
  const one = async (sql: string, values: readonly number[]): Promise<PolicyRow | null> => {
    const [row] = await db.read('policies', sql, values);
    return row === undefined ? null : read(row);
  };
  return {
    latest: () => one(`select ${COLUMNS} from policy_revisions order by sequence desc limit 1`, []),
    get: (sequence) => one(`select ${COLUMNS} from policy_revisions where sequence = $1`, [sequence]),
    async list(page) {
      const limit = checkLimit(page);
      const [before = Number.MAX_SAFE_INTEGER] = readCursor(page.cursor, ['number']) ?? [];
      const sql = `select ${WITHOUT_TEXT} from policy_revisions where sequence < $2 order by sequence desc limit $1`;
      const rows = await db.read('policies', sql, [limit + 1, before]);
      return pageOf(rows, limit, read, ({ sequence }) => [sequence]);
    },
    async insert(row, after) {
      const unchanged: Statement = {
        sql: IS_LATEST,
        values: [after],
        whenNone: { kind: 'changed', text: 'the policy' },
      };
      const insert: Statement = {
        sql: NEXT,
        values: [row.revision, row.text, row.note, row.createdAtMs, row.createdBy],
      };
      const trim: Statement = {
        sql: 'delete from policy_revisions where sequence <= (select max(sequence) from policy_revisions) - $1',
        values: [REVISIONS_KEPT],
      };
      const before = after === null ? [] : [unchanged];
      const results = await db.write('policies', [...before, insert, trim], 'policy');
      return read(only(results.at(-2)?.rows));
    },
  };
}
