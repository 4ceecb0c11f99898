import type { FrequentDidRows } from '../database.ts';
import type { Executor, Statement } from '../executor.ts';
import { text } from './columns.ts';

/** Rows of one statement: two texts of it are kept prepared, whatever the size of a list. */
const CHUNKS = [100, 1] as const;
const NOTES = new Map(CHUNKS.map((rows) => [rows, noteOf(rows)]));

function noteOf(rows: number): string {
  const tuples = Array.from(
    { length: rows },
    (_row, row) => `($${row * 3 + 1}, $${row * 3 + 2}, $${row * 3 + 3})`,
  );
  return `insert into frequent_dids (did, place, noted_at_ms) values ${tuples.join(', ')}
    on conflict (did) do update set place = excluded.place, noted_at_ms = excluded.noted_at_ms`;
}

const TOO_OLD = 'delete from frequent_dids where noted_at_ms < $1';
const TOO_MANY = `delete from frequent_dids where did in
  (select did from frequent_dids order by place, did limit 1000000 offset $1)`;
const LOAD = 'select did from frequent_dids order by place, did limit $1';

export function frequentDidRows(db: Executor): FrequentDidRows {
  return {
    async load(max) {
      return (await db.read('frequent_dids', LOAD, [max])).map((row) => text(row, 'did'));
    },
    async save(dids, atMs, keep) {
      // Two nodes take the rows in one order, so that neither waits for the other in a circle.
      const placed = Array.from(dids, (did, place) => ({ did, place })).sort((a, b) =>
        a.did < b.did ? -1 : 1,
      );
      const statements: Statement[] = [];
      let at = 0;
      for (const [size, sql] of NOTES) {
        for (; placed.length - at >= size; at += size) {
          const values = placed.slice(at, at + size).flatMap(({ did, place }) => [did, place, atMs]);
          statements.push({ sql, values });
        }
      }
      statements.push({ sql: TOO_OLD, values: [keep.sinceMs] }, { sql: TOO_MANY, values: [keep.rows] });
      await db.write('frequent_dids', statements);
    },
  };
}
