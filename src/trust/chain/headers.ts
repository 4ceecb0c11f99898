/** Headers of consecutive blocks, proven to be one chain by their parent hashes. */
import { type Header, parseHeader, toQuantity } from './blocks.ts';
import { ChainError } from './errors.ts';
import { type RpcCall, resultOf } from './json-rpc.ts';
import type { Batch } from './log-range.ts';

/** A header of a busy chain lists its transactions, about 15 KB: so many stay far below the bound of an answer. */
const HEADERS_PER_BATCH = 64;

export function getBlockCall(block: number | 'latest' | 'safe'): RpcCall {
  return {
    method: 'eth_getBlockByNumber',
    params: [typeof block === 'number' ? toQuantity(block) : block, false],
  };
}

/**
 * @param lastHash the hash that block `to` must have
 * @throws ChainError `chain_moved` when the blocks do not hang together: the node changed its chain in between
 */
export async function fetchHeaders(
  batch: Batch,
  from: number,
  to: number,
  lastHash: string,
): Promise<Header[]> {
  const headers: Header[] = [];
  for (let start = from; start <= to; start += HEADERS_PER_BATCH) {
    const end = Math.min(to, start + HEADERS_PER_BATCH - 1);
    const calls = Array.from({ length: end - start + 1 }, (_, i) => getBlockCall(start + i));
    for (const [i, answer] of (await batch(calls)).entries()) {
      const block = resultOf(answer, 'eth_getBlockByNumber');
      if (block === null) throw new ChainError('chain_moved', { detail: `block ${start + i} is gone` });
      const header = parseHeader(block);
      if (header.number !== start + i) {
        throw new ChainError('rpc_bad_answer', { detail: 'another block than the one asked for' });
      }
      const parent = headers.at(-1);
      if (parent !== undefined && header.parentHash !== parent.hash) throw new ChainError('chain_moved');
      headers.push(header);
    }
  }
  if (headers.at(-1)?.hash !== lastHash) throw new ChainError('chain_moved');
  return headers;
}
