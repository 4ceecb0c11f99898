/**
 * What one node says of one subject at one block, in one batch: one round trip however long the history is. More are
 * made only when a node refuses the range.
 */
import { createHash } from 'node:crypto';
import {
  type BlockRef,
  type ChainLog,
  parseHeader,
  parseLogs,
  parseTimestamp,
  toQuantity,
} from './blocks.ts';
import { ChainError } from './errors.ts';
import { getBlockCall } from './headers.ts';
import { type RpcAnswer, type RpcCall, resultOf } from './json-rpc.ts';
import { getLogsCall, getLogsInRange, type LogFilter } from './log-range.ts';
import type { Rpc } from './rpc.ts';

/** When a new key counts: at the chain's own `safe` tag, or so many blocks below the head where there is no tag. */
export type Finality = 'safe' | { readonly confirmations: number };

/** How a contract is read, whatever is asked of it. */
export interface ReadOptions {
  /** No event is older: the contract's own block of deployment serves. 0 when left out. */
  readonly fromBlock?: number;
  readonly finality?: Finality;
  /** A head known from elsewhere. A node behind it could still show a key that was revoked in it. */
  readonly atLeastBlock?: number;
  /** The block to read at, so that several nodes can be asked for the same; the head of the node when left out. */
  readonly at?: BlockRef;
}

/** What a reading tells of where it was made. */
export interface Witnessed {
  /** The head this answer is at least as new as. */
  readonly blockNumber: number;
  readonly blockHash: string;
  /** Of that block, in unix seconds. */
  readonly headTime: number;
  /** Highest block that was safe; -1 when none was. */
  readonly safeBlock: number;
  /** Equal for nodes that say the same. */
  readonly digest: string;
}

export interface Question {
  /** 0x-address, lower case. */
  readonly contract: string;
  /** Call data, 0x-hex. */
  readonly calls: readonly string[];
  readonly filters: readonly LogFilter[];
}

export interface Snapshot {
  readonly head: BlockRef;
  /** Unix seconds. */
  readonly headTime: number;
  /** Highest block that was safe; -1 when none was. */
  readonly safeBlock: number;
  /** In the order of the calls. */
  readonly states: readonly RpcAnswer[];
  /** Of all filters, in their order, each in the order of the node. */
  readonly logs: readonly ChainLog[];
}

/** Events of one subject that are read: far beyond any rotation schedule, and about 8 MB of JSON. */
const LOGS_MAX = 10_000;

/** Calls spent on one filter when its node refuses wide ranges. Anyone may ask about anyone, so this is small. */
const RANGE_CALLS_MAX = 64;

/** Answers that come before those of the question: the head, and the safe block. */
const HEADS = 2;

/**
 * @throws ChainError when the answer is not known: `rpc_*` as the link throws them, `rpc_stale` for a node behind
 * `atLeastBlock` or `at`, `chain_moved` when it has another block there, `history_too_long`
 */
export async function readSnapshot(
  rpc: Pick<Rpc, 'batch'>,
  question: Question,
  options: ReadOptions,
): Promise<Snapshot> {
  const { finality = 'safe', fromBlock = 0 } = options;
  const answers = await askAll(rpc, question, options);
  const block = resultOf(answers[0], 'eth_getBlockByNumber');
  if (block === null && options.at !== undefined) {
    throw new ChainError('rpc_stale', { detail: `the node has no block ${options.at.number}` });
  }
  const head = parseHeader(block);
  assertHead(head, options);
  const logs: ChainLog[] = [];
  // One after the other, so that a node that refuses the first is spared the second.
  for (const [i, filter] of question.filters.entries()) {
    const answer = answers[HEADS + question.calls.length + i];
    const found = await logsOf(rpc, filter, answer, fromBlock, head);
    for (const log of found) assertAsked(log, filter, head);
    logs.push(...found);
  }
  if (logs.length > LOGS_MAX) throw new ChainError('history_too_long', { detail: `${logs.length} events` });
  const safeBlock =
    finality === 'safe' ? parseSafe(answers[1], head) : Math.max(-1, head.number - finality.confirmations);
  const states = answers.slice(HEADS, HEADS + question.calls.length);
  return { head, headTime: parseTimestamp(block), safeBlock, states, logs };
}

async function askAll(
  rpc: Pick<Rpc, 'batch'>,
  { contract, calls, filters }: Question,
  { at, fromBlock }: ReadOptions,
): Promise<RpcAnswer[]> {
  // EIP-1898: a state by the hash of its block, so that no other branch can answer.
  const state = at === undefined ? 'latest' : { blockHash: at.hash };
  const heads: RpcCall[] = [
    getBlockCall(at === undefined ? 'latest' : at.number),
    // Asked for with confirmations too, so that the places of the answers stay the same; a refusal is then ignored.
    getBlockCall('safe'),
    ...calls.map((data) => ({ method: 'eth_call', params: [{ to: contract, data }, state] })),
  ];
  const range = {
    fromBlock: toQuantity(fromBlock ?? 0),
    toBlock: at === undefined ? 'latest' : toQuantity(at.number),
  };
  try {
    return await rpc.batch([...heads, ...filters.map((filter) => getLogsCall(filter, range))]);
  } catch (error) {
    if (!(error instanceof ChainError) || error.code !== 'rpc_too_large') throw error;
    // The logs made it too large: take the heads alone, and let each range be halved.
    const refused: RpcAnswer = { ok: false, code: 0, message: error.message };
    return [...(await rpc.batch(heads)), ...filters.map(() => refused)];
  }
}

function assertHead(head: BlockRef, { at, atLeastBlock = 0 }: ReadOptions): void {
  if (head.number < atLeastBlock) {
    throw new ChainError('rpc_stale', { detail: `block ${head.number}, known is ${atLeastBlock}` });
  }
  if (at !== undefined && head.hash !== at.hash) {
    throw new ChainError('chain_moved', { detail: `block ${at.number} is another one` });
  }
}

async function logsOf(
  rpc: Pick<Rpc, 'batch'>,
  filter: LogFilter,
  answer: RpcAnswer | undefined,
  fromBlock: number,
  head: BlockRef,
): Promise<ChainLog[]> {
  if (answer?.ok) return parseLogs(answer.result);
  const limits = { callsMax: RANGE_CALLS_MAX, logsMax: LOGS_MAX };
  return getLogsInRange((calls) => rpc.batch(calls), filter, fromBlock, head.number, limits);
}

/** A node that filters badly would mix the keys of subjects, so every log is held against what was asked. */
function assertAsked(log: ChainLog, { address, topics }: LogFilter, head: BlockRef): void {
  const matches = (wanted: string | readonly string[] | null, found: string | undefined): boolean =>
    wanted === null ||
    (found !== undefined && (typeof wanted === 'string' ? wanted === found : wanted.includes(found)));
  const asked = matches(address, log.address) && topics.every((topic, i) => matches(topic, log.topics[i]));
  if (!asked) throw new ChainError('rpc_bad_answer', { detail: 'a log that was not asked for' });
  if (log.blockNumber === head.number && log.blockHash !== head.hash) {
    throw new ChainError('chain_moved', { detail: 'a log of another block than the head' });
  }
}

/** A block mined or replaced while a batch was answered can make it contradict itself; once or twice is weather. */
const ATTEMPTS_MAX = 3;

/** Reads again what contradicted itself. */
export async function readSteadily<T>(read: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await read();
    } catch (error) {
      const again =
        error instanceof ChainError && (error.code === 'rpc_bad_answer' || error.code === 'chain_moved');
      if (!again || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

/** A young chain has no safe block; nodes then answer null or an error, and no key counts. */
export function parseSafe(answer: RpcAnswer | undefined, latest: BlockRef): number {
  if (answer !== undefined && !answer.ok && /not found|unknown block/i.test(answer.message)) return -1;
  const block = resultOf(answer, 'eth_getBlockByNumber safe');
  return block === null ? -1 : Math.min(parseHeader(block).number, latest.number);
}

/** What two nodes must say alike to agree: the events, each in its block, and what else the answer rests on. */
export function digestOf(logs: readonly ChainLog[], ...facts: readonly unknown[]): string {
  const rows = logs
    .filter((log) => !log.removed)
    .map(({ blockNumber, logIndex, blockHash, topics, data }) => [
      blockNumber,
      logIndex,
      blockHash,
      topics,
      data,
    ])
    .sort((a, b) => (a[0] as number) - (b[0] as number) || (a[1] as number) - (b[1] as number));
  return createHash('sha256')
    .update(JSON.stringify([facts, rows]))
    .digest('base64url');
}
