/**
 * Logs of a range of blocks. Providers refuse ranges by rules of their own (10, 2,000 or 10,000 blocks; so many
 * results; so many bytes), with errors of their own. So the whole range is asked for, and halved as often as it is refused.
 */
import { type ChainLog, parseLogs, toQuantity } from './blocks.ts';
import { ChainError } from './errors.ts';
import type { RpcAnswer, RpcCall } from './json-rpc.ts';

export interface LogFilter {
  readonly address: string | readonly string[];
  /** As `eth_getLogs` takes them: null for any, a list for one of. */
  readonly topics: readonly (string | readonly string[] | null)[];
}

export type Batch = (calls: readonly RpcCall[]) => Promise<RpcAnswer[]>;

export interface RangeLimits {
  /** Round trips spent at most, refused ones included. */
  readonly callsMax: number;
  readonly logsMax: number;
}

export function getLogsCall(filter: LogFilter, range: Readonly<Record<string, string>>): RpcCall {
  return { method: 'eth_getLogs', params: [{ ...filter, ...range }] };
}

/**
 * @param from first block, @param to last block, both included
 * @throws ChainError `rpc_refused` when a single block is refused or the calls are spent, `history_too_long` for too
 * many logs, and whatever the link throws except `rpc_too_large`, which halves the range
 */
export async function getLogsInRange(
  batch: Batch,
  filter: LogFilter,
  from: number,
  to: number,
  limits: RangeLimits,
): Promise<ChainLog[]> {
  const logs: ChainLog[] = [];
  let start = from;
  let span = to - from + 1;
  for (let calls = 0; start <= to; calls++) {
    if (calls >= limits.callsMax) {
      throw new ChainError('rpc_refused', {
        detail: `blocks ${from} to ${to} take more than ${limits.callsMax} calls in ranges the node accepts`,
      });
    }
    const end = Math.min(to, start + span - 1);
    const found = await ask(
      batch,
      getLogsCall(filter, { fromBlock: toQuantity(start), toBlock: toQuantity(end) }),
    );
    if (found.refused !== undefined) {
      if (end === start) throw found.refused;
      span = Math.ceil((end - start + 1) / 2);
      continue;
    }
    for (const log of found.logs) {
      if (log.blockNumber < start || log.blockNumber > end) {
        throw new ChainError('rpc_bad_answer', { detail: 'a log from outside the range asked for' });
      }
      logs.push(log);
    }
    if (logs.length > limits.logsMax)
      throw new ChainError('history_too_long', { detail: `over ${limits.logsMax}` });
    start = end + 1;
  }
  return logs;
}

type Found =
  | { readonly logs: readonly ChainLog[]; readonly refused?: undefined }
  | { readonly refused: ChainError };

async function ask(batch: Batch, call: RpcCall): Promise<Found> {
  try {
    const [answer] = await batch([call]);
    if (answer === undefined) throw new ChainError('rpc_bad_answer', { detail: 'no answer to eth_getLogs' });
    if (answer.ok) return { logs: parseLogs(answer.result) };
    return { refused: new ChainError('rpc_refused', { detail: answer.message, rpcCode: answer.code }) };
  } catch (error) {
    if (error instanceof ChainError && error.code === 'rpc_too_large') return { refused: error };
    throw error;
  }
}
