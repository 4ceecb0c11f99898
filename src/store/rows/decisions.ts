import type { DecisionFilter, DecisionRow, DecisionRows } from '../database.ts';
import type { Executor, Row, Statement, Value } from '../executor.ts';
import { integer, text } from './columns.ts';
import { checkLimit, pageOf, readCursor } from './paging.ts';

const COLUMN_NAMES = [
  'request_id',
  'at_ms',
  'trace_id',
  'transport',
  'method',
  'path',
  'address',
  'agent_id',
  'did',
  'key_id',
  'effect',
  'rule_id',
  'policy_revision',
  'status',
  'code',
  'detail',
] as const;
const COLUMNS = COLUMN_NAMES.join(', ');

/** Rows of one statement: three texts of it are kept prepared, whatever the size of a batch. */
const CHUNKS = [100, 10, 1] as const;
/** A statement of this many takes some 35 ms in SQLite, for which other writers wait. */
const TRIMMED_AT_ONCE = 1_000;
/**
 * What is indexed may be a stranger's: PostgreSQL refuses a row whose indexed text has more than 2,704 bytes.
 * In characters; all of these are ASCII where they are valid.
 */
const INDEXED_CHARACTERS_MAX = 1_024;
/** As long as the longest path that the listener lets through needs to be told apart. */
const PATH_CHARACTERS_MAX = 8_192;

const INSERTS = new Map(CHUNKS.map((rows) => [rows, insertOf(rows)]));

function insertOf(rows: number): string {
  const width = COLUMN_NAMES.length;
  const tuples = Array.from({ length: rows }, (_row, row) => {
    const places = COLUMN_NAMES.map((_name, column) => `$${row * width + column + 1}`);
    return `(${places.join(', ')})`;
  });
  return `insert into decisions (${COLUMNS}) values ${tuples.join(', ')} on conflict (request_id) do nothing`;
}

const clip = (value: string): string => value.slice(0, INDEXED_CHARACTERS_MAX);

const valuesOf = (row: DecisionRow): Value[] => [
  clip(row.requestId),
  row.atMs,
  row.traceId,
  row.transport,
  row.method,
  row.path.slice(0, PATH_CHARACTERS_MAX),
  clip(row.address),
  clip(row.agentId),
  clip(row.did),
  row.keyId,
  row.effect,
  clip(row.ruleId),
  row.policyRevision,
  row.status,
  clip(row.code),
  row.detail,
];

function insertions(rows: readonly DecisionRow[]): Statement[] {
  const statements: Statement[] = [];
  let at = 0;
  for (const [size, sql] of INSERTS) {
    for (; rows.length - at >= size; at += size)
      statements.push({ sql, values: rows.slice(at, at + size).flatMap(valuesOf) });
  }
  return statements;
}

function readEffect(row: Row): DecisionRow['effect'] {
  const effect = text(row, 'effect');
  return effect === 'allow' || effect === 'deny' ? effect : 'none';
}

const read = (row: Row): DecisionRow => ({
  requestId: text(row, 'request_id'),
  atMs: integer(row, 'at_ms'),
  traceId: text(row, 'trace_id'),
  transport: text(row, 'transport'),
  method: text(row, 'method'),
  path: text(row, 'path'),
  address: text(row, 'address'),
  agentId: text(row, 'agent_id'),
  did: text(row, 'did'),
  keyId: text(row, 'key_id'),
  effect: readEffect(row),
  ruleId: text(row, 'rule_id'),
  policyRevision: text(row, 'policy_revision'),
  status: integer(row, 'status'),
  code: text(row, 'code'),
  detail: text(row, 'detail'),
});

const CONDITIONS: Readonly<Record<keyof DecisionFilter, string>> = {
  did: 'did =',
  agentId: 'agent_id =',
  address: 'address =',
  code: 'code =',
  effect: 'effect =',
  ruleId: 'rule_id =',
  statusMin: 'status >=',
  statusMax: 'status <=',
  fromMs: 'at_ms >=',
  toMs: 'at_ms <',
};
const FILTERS = Object.entries(CONDITIONS);

/** One page, and one row more. */
export function decisionsQuery(
  filter: DecisionFilter,
  limit: number,
  after: readonly Value[] | null,
): Pick<Statement, 'sql' | 'values'> {
  const values: Value[] = [];
  const conditions: string[] = [];
  const given = new Map<string, Value | undefined>(Object.entries(filter));
  for (const [name, condition] of FILTERS) {
    const value = given.get(name);
    if (value === undefined) continue;
    values.push(value);
    conditions.push(`${condition} $${values.length}`);
  }
  if (after !== null) {
    values.push(...after);
    conditions.push(`(at_ms, request_id) < ($${values.length - 1}, $${values.length})`);
  }
  values.push(limit + 1);
  const where = conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`;
  const order = `order by at_ms desc, request_id desc limit $${values.length}`;
  return { sql: `select ${COLUMNS} from decisions ${where} ${order}`, values };
}

const trimming = (condition: string): string => `delete from decisions where request_id in
  (select request_id from decisions where ${condition} order by at_ms, request_id limit ${TRIMMED_AT_ONCE})`;
const TOO_OLD = trimming('at_ms < $1');
const TOO_MANY = trimming('(at_ms, request_id) <= ($1, $2)');
const FIRST_TOO_MANY =
  'select at_ms, request_id from decisions order by at_ms desc, request_id desc limit 1 offset $1';

export function decisionRows(db: Executor): DecisionRows {
  return {
    async append(rows) {
      if (rows.length > 0) await db.write('decisions', insertions(rows));
    },
    async get(requestId) {
      const sql = `select ${COLUMNS} from decisions where request_id = $1`;
      const [row] = await db.read('decisions', sql, [clip(requestId)]);
      return row === undefined ? null : read(row);
    },
    async list(filter, page) {
      const limit = checkLimit(page);
      const { sql, values } = decisionsQuery(filter, limit, readCursor(page.cursor, ['number', 'string']));
      const rows = await db.read('decisions', sql, values);
      return pageOf(rows, limit, read, ({ atMs, requestId }) => [atMs, requestId]);
    },
    async trim({ rows, sinceMs }) {
      const [first] = await db.read('decisions', FIRST_TOO_MANY, [rows]);
      const statements: Statement[] = [{ sql: TOO_OLD, values: [sinceMs] }];
      if (first !== undefined)
        statements.push({ sql: TOO_MANY, values: [integer(first, 'at_ms'), text(first, 'request_id')] });
      const results = await db.write('decisions', statements);
      return results.reduce((sum, { changes }) => sum + changes, 0);
    },
  };
}
