/**
 * The keys of one agent, read in one batch: one round trip however long its history is (ERC-1056 resolvers that walk
 * `changed` serially take one per change). More are made only when a node refuses the range or contradicts itself.
 */
import {
  type BlockRef,
  type ChainLog,
  parseAddress,
  parseBytes,
  parseHeader,
  parseLogs,
  toQuantity,
} from './blocks.ts';
import { ChainError } from './errors.ts';
import { agentTopic, METADATA_SET, TRANSFER, ZERO_ADDRESS } from './events.ts';
import { type RpcAnswer, type RpcCall, resultOf } from './json-rpc.ts';
import { type AgentKey, type IgnoredKey, type KeyHistory, replayKeys } from './key-history.ts';
import { getLogsCall, getLogsInRange, type LogFilter } from './log-range.ts';
import type { Rpc } from './rpc.ts';

/** When a new key counts: at the chain's own `safe` tag, or so many blocks below the head where there is no tag. */
export type Finality = 'safe' | { readonly confirmations: number };

export interface AgentRef {
  /** 0x and 40 hex digits, any case. */
  readonly registry: string;
  readonly agentId: bigint;
  /** No event of the agent is older: the registry's own block of deployment serves. 0 when left out. */
  readonly fromBlock?: number;
  readonly finality?: Finality;
  /** A head known from elsewhere. A node behind it could still show a key that was revoked in it. */
  readonly atLeastBlock?: number;
}

export interface AgentKeys {
  /** False is an answer: this registry has no such agent (or there is no registry at that address). */
  readonly exists: boolean;
  /** Lower case. */
  readonly owner: string | undefined;
  readonly keys: readonly AgentKey[];
  readonly pending: readonly AgentKey[];
  readonly ignored: readonly IgnoredKey[];
  /** The head this answer is at least as new as. */
  readonly blockNumber: number;
  readonly blockHash: string;
  /** Highest block that was safe; -1 when none was. */
  readonly safeBlock: number;
}

/** Events of one agent that are read: far beyond any rotation schedule, and about 8 MB of JSON. */
const LOGS_PER_AGENT_MAX = 10_000;

/** Calls spent on one agent when its node refuses wide ranges. Anyone may ask about any agent, so this is small. */
const RANGE_CALLS_MAX = 64;

/** A block mined while the batch was answered can make it contradict itself; once or twice is weather. */
const ATTEMPTS_MAX = 3;

/** `ownerOf(uint256)` of ERC-721. */
const OWNER_OF_SELECTOR = '0x6352211e';

/**
 * @throws ChainError when the answer is not known: `rpc_*` as the link throws them, `rpc_stale` for a node behind
 * `atLeastBlock`, `rpc_bad_answer` for logs that contradict `ownerOf`, `history_too_long`
 */
export async function readAgentKeys(rpc: Pick<Rpc, 'batch'>, agent: AgentRef): Promise<AgentKeys> {
  for (let attempt = 1; ; attempt++) {
    const read = await readOnce(rpc, agent);
    if (read !== undefined) return read;
    if (attempt === ATTEMPTS_MAX) {
      throw new ChainError('rpc_bad_answer', { detail: 'ownerOf contradicts the Transfer events' });
    }
  }
}

async function readOnce(rpc: Pick<Rpc, 'batch'>, agent: AgentRef): Promise<AgentKeys | undefined> {
  const { agentId, finality = 'safe' } = agent;
  const registry = parseAddress(agent.registry, 'registry');
  const filters = filtersOf(registry, agentId);
  const answers = await askAll(rpc, registry, agent, filters);
  const latest = parseHeader(resultOf(answers[0], 'eth_getBlockByNumber'));
  if (latest.number < (agent.atLeastBlock ?? 0)) {
    throw new ChainError('rpc_stale', { detail: `block ${latest.number}, known is ${agent.atLeastBlock}` });
  }
  const safeBlock =
    finality === 'safe'
      ? parseSafe(answers[1], latest)
      : Math.max(-1, latest.number - finality.confirmations);
  const owner = parseOwner(answers[2]);
  const logs: ChainLog[] = [];
  // One after the other, so that a node that refuses the first is spared the second.
  for (const [i, filter] of filters.entries()) {
    logs.push(...(await logsOf(rpc, filter, answers[3 + i], agent.fromBlock ?? 0, latest)));
  }
  if (logs.length > LOGS_PER_AGENT_MAX)
    throw new ChainError('history_too_long', { detail: `${logs.length} events` });
  assertAsked(logs, registry, agentId);
  const history: KeyHistory = replayKeys(logs, agentId, safeBlock);
  if (history.owner !== owner) return undefined;
  return {
    exists: owner !== undefined,
    ...history,
    blockNumber: latest.number,
    blockHash: latest.hash,
    safeBlock,
  };
}

/** Metadata first: a transfer that comes between the two answers then revokes, instead of being overlooked. */
function filtersOf(registry: string, agentId: bigint): readonly [LogFilter, LogFilter] {
  const topic = agentTopic(agentId);
  return [
    { address: registry, topics: [METADATA_SET, topic] },
    { address: registry, topics: [TRANSFER, null, null, topic] },
  ];
}

async function askAll(
  rpc: Pick<Rpc, 'batch'>,
  registry: string,
  agent: AgentRef,
  filters: readonly LogFilter[],
): Promise<RpcAnswer[]> {
  const data = OWNER_OF_SELECTOR + agentTopic(agent.agentId).slice(2);
  const heads: RpcCall[] = [
    { method: 'eth_getBlockByNumber', params: ['latest', false] },
    // Asked for with confirmations too, so that the places of the answers stay the same; a refusal is then ignored.
    { method: 'eth_getBlockByNumber', params: ['safe', false] },
    { method: 'eth_call', params: [{ to: registry, data }, 'latest'] },
  ];
  const range = { fromBlock: toQuantity(agent.fromBlock ?? 0), toBlock: 'latest' };
  try {
    return await rpc.batch([...heads, ...filters.map((filter) => getLogsCall(filter, range))]);
  } catch (error) {
    if (!(error instanceof ChainError) || error.code !== 'rpc_too_large') throw error;
    // The logs made it too large: take the heads alone, and let each range be halved.
    const refused: RpcAnswer = { ok: false, code: 0, message: error.message };
    return [...(await rpc.batch(heads)), ...filters.map(() => refused)];
  }
}

async function logsOf(
  rpc: Pick<Rpc, 'batch'>,
  filter: LogFilter,
  answer: RpcAnswer | undefined,
  fromBlock: number,
  latest: BlockRef,
): Promise<ChainLog[]> {
  if (answer?.ok) return parseLogs(answer.result);
  const limits = { callsMax: RANGE_CALLS_MAX, logsMax: LOGS_PER_AGENT_MAX };
  return getLogsInRange((calls) => rpc.batch(calls), filter, fromBlock, latest.number, limits);
}

/** A node that filters badly would mix the keys of agents, so every log is held against what was asked. */
function assertAsked(logs: readonly ChainLog[], registry: string, agentId: bigint): void {
  const topic = agentTopic(agentId);
  for (const { address, topics } of logs) {
    const subject = topics[0] === TRANSFER ? topics[3] : topics[1];
    if (address !== registry || subject !== topic || (topics[0] !== TRANSFER && topics[0] !== METADATA_SET)) {
      throw new ChainError('rpc_bad_answer', { detail: 'a log that was not asked for' });
    }
  }
}

/** A young chain has no safe block; nodes then answer null or an error, and no key counts. */
export function parseSafe(answer: RpcAnswer | undefined, latest: BlockRef): number {
  if (answer !== undefined && !answer.ok && /not found|unknown block/i.test(answer.message)) return -1;
  const block = resultOf(answer, 'eth_getBlockByNumber safe');
  return block === null ? -1 : Math.min(parseHeader(block).number, latest.number);
}

/** A revert means that there is no such token; no code at the address answers `0x`. Anything else is not known. */
function parseOwner(answer: RpcAnswer | undefined): string | undefined {
  if (answer !== undefined && !answer.ok && (answer.code === 3 || /revert/i.test(answer.message)))
    return undefined;
  const word = parseBytes(resultOf(answer, 'eth_call ownerOf'), 'ownerOf');
  if (word === '0x') return undefined;
  if (word.length !== 66) throw new ChainError('rpc_bad_answer', { detail: 'ownerOf gave no address' });
  const owner = parseAddress(`0x${word.slice(-40)}`, 'ownerOf');
  // Registries older than ERC-721's advice to revert answer the zero address.
  return owner === ZERO_ADDRESS ? undefined : owner;
}
