import type { TombstoneRow, TombstoneRows } from '../database.ts';
import type { Executor, Statement } from '../executor.ts';
import { integer, text } from './columns.ts';

/** Rows of one statement: two texts of it are kept prepared, whatever the size of a batch. */
const CHUNKS = [32, 1] as const;
const NOTES = new Map(CHUNKS.map((rows) => [rows, noteOf(rows)]));

/** The greatest block wins, so that writing twice, late or from another node changes nothing. */
function noteOf(rows: number): string {
  const tuples = Array.from({ length: rows }, (_row, row) => {
    const places = Array.from({ length: 5 }, (_value, column) => `$${row * 5 + column + 1}`);
    return `(${places.join(', ')})`;
  });
  return `insert into tombstones (chain_id, did, block_number, block_hash, noted_at_ms) values ${tuples.join(', ')}
    on conflict (chain_id, did) do update set block_number = excluded.block_number,
      block_hash = excluded.block_hash, noted_at_ms = excluded.noted_at_ms
    where excluded.block_number > tombstones.block_number`;
}

const FIND = `select block_number, block_hash from tombstones where chain_id = $1 and (did = $2 or did = '')
  order by block_number desc limit 1`;
const TOO_OLD = 'delete from tombstones where noted_at_ms < $1';
const FIRST_TOO_MANY = 'select noted_at_ms from tombstones order by noted_at_ms desc limit 1 offset $1';
// What is forgotten before its time goes on standing in the row that means every DID of its chain.
const FOLD = `insert into tombstones (chain_id, did, block_number, block_hash, noted_at_ms)
  select chain_id, '', max(block_number), '', max(noted_at_ms) + 1 from tombstones
  where noted_at_ms <= $1 group by chain_id
  on conflict (chain_id, did) do update set block_number = excluded.block_number,
    block_hash = excluded.block_hash, noted_at_ms = excluded.noted_at_ms
  where excluded.block_number >= tombstones.block_number`;
const TOO_MANY = `delete from tombstones where noted_at_ms <= $1 and did <> ''`;

/** Two nodes that write the same rows take them in one order, so that neither waits for the other in a circle. */
const inOrder = (a: TombstoneRow, b: TombstoneRow): number =>
  a.chainId - b.chainId || (a.did < b.did ? -1 : Number(a.did > b.did));

export function tombstoneRows(db: Executor): TombstoneRows {
  return {
    async note(rows, atMs) {
      if (rows.length === 0) return;
      const sorted = rows.toSorted(inOrder);
      const statements: Statement[] = [];
      let at = 0;
      for (const [size, sql] of NOTES) {
        for (; sorted.length - at >= size; at += size) {
          const values = sorted
            .slice(at, at + size)
            .flatMap(({ chainId, did, blockNumber, blockHash }) => [
              chainId,
              did,
              blockNumber,
              blockHash,
              atMs,
            ]);
          statements.push({ sql, values });
        }
      }
      await db.write('tombstones', statements);
    },
    async find(chainId, did) {
      const [row] = await db.read('tombstones', FIND, [chainId, did]);
      return row === undefined
        ? null
        : { blockNumber: integer(row, 'block_number'), blockHash: text(row, 'block_hash') };
    },
    async trim({ rows, sinceMs }) {
      const [first] = await db.read('tombstones', FIRST_TOO_MANY, [rows]);
      const statements: Statement[] = [{ sql: TOO_OLD, values: [sinceMs] }];
      if (first !== undefined) {
        const values = [integer(first, 'noted_at_ms')];
        statements.push({ sql: FOLD, values }, { sql: TOO_MANY, values });
      }
      await db.write('tombstones', statements);
    },
  };
}
