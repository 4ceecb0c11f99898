import type { AgentRow, AgentRows } from '../database.ts';
import type { Executor, Row, Statement } from '../executor.ts';
import { integer, only, text } from './columns.ts';

const COLUMNS = 'id, definition, version, created_at_ms, updated_at_ms, updated_by';

const read = (row: Row): AgentRow => ({
  id: text(row, 'id'),
  definition: text(row, 'definition'),
  version: integer(row, 'version'),
  createdAtMs: integer(row, 'created_at_ms'),
  updatedAtMs: integer(row, 'updated_at_ms'),
  updatedBy: text(row, 'updated_by'),
});

const named = (id: string): string => `an agent "${id}"`;

/** That a row is there, and that nobody changed it since it had this version. */
function standing(id: string, version: number | null): Statement[] {
  const there = {
    sql: 'select 1 as found from agents where id = $1',
    values: [id],
    whenNone: { kind: 'missing', text: named(id) },
  } as const;
  if (version === null) return [there];
  return [
    there,
    {
      sql: 'select 1 as found from agents where id = $1 and version = $2',
      values: [id, version],
      whenNone: { kind: 'changed', text: named(id) },
    },
  ];
}

export function agentRows(db: Executor): AgentRows {
  return {
    async all() {
      return (await db.read('agents', `select ${COLUMNS} from agents order by id`)).map(read);
    },
    async get(id) {
      const [row] = await db.read('agents', `select ${COLUMNS} from agents where id = $1`, [id]);
      return row === undefined ? null : read(row);
    },
    async insert(id, definition, by, atMs) {
      const insert: Statement = {
        sql: `insert into agents (${COLUMNS}) values ($1, $2, 1, $3, $3, $4) returning ${COLUMNS}`,
        values: [id, definition, atMs, by],
        whenTaken: { kind: 'exists', text: named(id) },
      };
      const results = await db.write('agents', [insert], 'agents');
      return read(only(results[0]?.rows));
    },
    async update(id, definition, version, by, atMs) {
      const update: Statement = {
        sql: `update agents set definition = $2, version = version + 1, updated_at_ms = $3, updated_by = $4 where id = $1 returning ${COLUMNS}`,
        values: [id, definition, atMs, by],
        whenNone: { kind: 'missing', text: named(id) },
      };
      const results = await db.write('agents', [...standing(id, version), update], 'agents');
      return read(only(results.at(-1)?.rows));
    },
    async remove(id, version) {
      const remove: Statement = {
        sql: 'delete from agents where id = $1',
        values: [id],
        whenNone: { kind: 'missing', text: named(id) },
      };
      await db.write('agents', [...standing(id, version), remove], 'agents');
    },
  };
}
