import type { CheckpointRows } from '../database.ts';
import type { Executor } from '../executor.ts';
import { integer, text } from './columns.ts';

export function checkpointRows(db: Executor): CheckpointRows {
  return {
    async load(chainId) {
      const sql = 'select block_number, block_hash from checkpoints where chain_id = $1';
      const [row] = await db.read('checkpoints', sql, [chainId]);
      return row === undefined
        ? null
        : { number: integer(row, 'block_number'), hash: text(row, 'block_hash') };
    },
    async save(chainId, { number, hash }) {
      const sql = `insert into checkpoints (chain_id, block_number, block_hash) values ($1, $2, $3)
        on conflict (chain_id) do update set block_number = excluded.block_number, block_hash = excluded.block_hash`;
      await db.write('checkpoints', [{ sql, values: [chainId, number, hash] }]);
    },
  };
}
