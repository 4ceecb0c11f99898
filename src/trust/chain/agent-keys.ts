/**
 * The keys of one agent of an ERC-8004 registry, read in one batch: ERC-1056 resolvers that walk `changed` serially
 * take one round trip for each change. More are made only when a node refuses the range or contradicts itself.
 */
import { parseAddress, parseBytes } from './blocks.ts';
import { ChainError } from './errors.ts';
import { agentTopic, METADATA_SET, TRANSFER, ZERO_ADDRESS } from './events.ts';
import { type RpcAnswer, resultOf } from './json-rpc.ts';
import { type AgentKey, type IgnoredKey, type KeyHistory, replayKeys } from './key-history.ts';
import type { LogFilter } from './log-range.ts';
import type { Rpc } from './rpc.ts';
import { digestOf, type ReadOptions, readSnapshot, readSteadily, type Witnessed } from './snapshot.ts';

export interface AgentRef extends ReadOptions {
  /** 0x and 40 hex digits, any case. */
  readonly registry: string;
  readonly agentId: bigint;
}

export interface AgentKeys extends Witnessed {
  /** False is an answer: this registry has no such agent (or there is no registry at that address). */
  readonly exists: boolean;
  /** Lower case. */
  readonly owner: string | undefined;
  readonly keys: readonly AgentKey[];
  readonly pending: readonly AgentKey[];
  readonly ignored: readonly IgnoredKey[];
}

/** `ownerOf(uint256)` of ERC-721. */
const OWNER_OF_SELECTOR = '0x6352211e';

/**
 * @throws ChainError when the answer is not known: as `readSnapshot` throws, and `rpc_bad_answer` for logs that
 * contradict `ownerOf`
 */
export function readAgentKeys(rpc: Pick<Rpc, 'batch'>, agent: AgentRef): Promise<AgentKeys> {
  return readSteadily(() => readOnce(rpc, agent));
}

async function readOnce(rpc: Pick<Rpc, 'batch'>, agent: AgentRef): Promise<AgentKeys> {
  const { agentId } = agent;
  const contract = parseAddress(agent.registry, 'registry');
  const calls = [OWNER_OF_SELECTOR + agentTopic(agentId).slice(2)];
  const snapshot = await readSnapshot(rpc, { contract, calls, filters: filtersOf(contract, agentId) }, agent);
  const { head, headTime, safeBlock, logs } = snapshot;
  const owner = parseOwner(snapshot.states[0]);
  const history: KeyHistory = replayKeys(logs, agentId, safeBlock);
  if (history.owner !== owner) {
    throw new ChainError('rpc_bad_answer', { detail: 'ownerOf contradicts the Transfer events' });
  }
  return {
    exists: owner !== undefined,
    ...history,
    blockNumber: head.number,
    blockHash: head.hash,
    headTime,
    safeBlock,
    digest: digestOf(logs, owner),
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
