/**
 * The keys of one did:sage agent of the first generations, from SAGE's AgentCardRegistry. The events of its keys carry
 * an id that only the contract can tell, so an agent that was never read takes two round trips, the second pinned to
 * the block of the first; one whose id is known takes one.
 */
import type { ChainKey } from '../did/ports.ts';
import { keccak256 } from './abi.ts';
import type { BlockRef, ChainLog } from './blocks.ts';
import {
  AGENT_ACTIVATED,
  AGENT_DEACTIVATED,
  AGENT_DEACTIVATED_BY_HASH,
  AGENT_REGISTERED,
  decodeCardEvent,
  KEY_ADDED,
  KEY_REVOKED,
} from './card-events.ts';
import { type CardAgent, type CardKey, replayCard } from './card-history.ts';
import {
  type CardRecord,
  didToAgentIdCall,
  getAgentByDidCall,
  getKeyCall,
  materialOf,
  parseAgent,
  parseAgentId,
  parseKey,
  type StoredKey,
} from './card-record.ts';
import { ChainError } from './errors.ts';
import type { RpcAnswer } from './json-rpc.ts';
import { inChainOrder } from './key-history.ts';
import { getLogsInRange, type LogFilter } from './log-range.ts';
import type { Rpc } from './rpc.ts';
import {
  digestOf,
  type ReadOptions,
  readSnapshot,
  readSteadily,
  type Snapshot,
  type Witnessed,
} from './snapshot.ts';

/** What was found out once and does not change: it saves a round trip, and is checked each time. */
export interface CardMemo {
  readonly agentId: string;
  readonly keyHashes: readonly string[];
}

export interface CardRef extends ReadOptions {
  /** The AgentCardRegistry: 0x and 40 hex digits, lower case. */
  readonly contract: string;
  /** What follows `did:sage:ethereum:`. */
  readonly id: string;
  readonly memo?: CardMemo | undefined;
}

export interface CardKeys extends Witnessed {
  readonly exists: boolean;
  readonly deactivated: boolean;
  readonly keys: readonly ChainKey[];
  readonly pending: readonly ChainKey[];
  /** For the next reading; undefined when there is no such agent. */
  readonly memo: CardMemo | undefined;
}

/** Revocations by strangers that are looked at before it is plain that there are some. */
const STRANGERS_LIMITS = { callsMax: 64, logsMax: 100 };

/** Both spellings stand in registries; of two agents that share an id, the one that was registered first has it. */
function cardDids(id: string): readonly [string, string] {
  return [`did:sage:ethereum:${id}`, `did:sage:eth:${id}`];
}

/** What the events call the agent that `did:sage:ethereum:<id>` names, in either spelling. */
export function cardHashes(id: string): readonly string[] {
  return cardDids(id).map((did) => keccak256(did));
}

/**
 * @throws ChainError when the answer is not known: as `readSnapshot` throws, and `rpc_bad_answer` for events and
 * storage that contradict each other, or when there is no contract
 */
export function readCardKeys(rpc: Pick<Rpc, 'batch'>, ref: CardRef): Promise<CardKeys> {
  return readSteadily(() => readOnce(rpc, ref));
}

async function readOnce(rpc: Pick<Rpc, 'batch'>, ref: CardRef): Promise<CardKeys> {
  const { contract, memo } = ref;
  const spellings = cardDids(ref.id);
  const hashes = cardHashes(ref.id);
  const first = await readSnapshot(
    rpc,
    {
      contract,
      calls: [
        ...spellings.flatMap((did) => [didToAgentIdCall(did), getAgentByDidCall(did)]),
        ...(memo?.keyHashes ?? []).map(getKeyCall),
      ],
      filters: [
        { address: contract, topics: [AGENT_REGISTERED, null, hashes] },
        { address: contract, topics: [AGENT_DEACTIVATED, hashes] },
        ...(memo === undefined ? [] : [ownEvents(contract, memo.agentId)]),
      ],
    },
    ref,
  );
  const { head, headTime, safeBlock } = first;
  const told = { blockNumber: head.number, blockHash: head.hash, headTime, safeBlock };
  const found = whoIs(first, spellings, hashes);
  if (found === undefined) {
    const nobody = { exists: false, deactivated: false, keys: [], pending: [], memo: undefined } as const;
    return { ...nobody, ...told, digest: digestOf(first.logs) };
  }
  const { agentId, didHash, record } = found;
  const known = memo?.agentId === agentId && record.keyHashes.every((hash) => memo.keyHashes.includes(hash));
  const own = known
    ? { logs: first.logs, states: first.states.slice(4), keyHashes: memo.keyHashes }
    : await readOwn(rpc, ref, found, first);
  const agent: CardAgent = { agentId, didHash, active: record.active, keyHashes: record.keyHashes };
  const history = replayCard(own.logs, agent);
  const stored = new Map(own.keyHashes.map((hash, i) => [hash, parseKey(own.states[i], hash)]));
  const doubtful = history.keys.filter(({ keyHash }) => stored.get(keyHash)?.verified === false);
  const revokedByOthers = await revokedByStrangers(rpc, ref, agentId, doubtful, head);
  const { keys, pending } = keysOf(history, stored, revokedByOthers, safeBlock);
  const facts = [agentId, record.active, [...record.keyHashes].sort(), [...revokedByOthers].sort()];
  return {
    exists: true,
    deactivated: history.deactivated,
    keys,
    pending,
    ...told,
    digest: digestOf(own.logs, ...facts),
    memo: { agentId, keyHashes: record.keyHashes },
  };
}

interface Found {
  readonly agentId: string;
  readonly didHash: string;
  readonly record: CardRecord;
}

/** The agent that was registered first under either spelling. */
function whoIs(
  { logs, states }: Snapshot,
  spellings: readonly string[],
  hashes: readonly string[],
): Found | undefined {
  const ids = spellings.map((_, i) => parseAgentId(states[2 * i]));
  for (const log of inChainOrder(logs)) {
    const event = decodeCardEvent(log);
    if (event?.kind !== 'registered') continue;
    const place = hashes.indexOf(event.didHash);
    const record = parseAgent(states[2 * place + 1]);
    if (ids[place] !== event.agentId || record.did !== spellings[place]) {
      throw new ChainError('rpc_bad_answer', { detail: 'the contract has another agent than its events' });
    }
    return { agentId: event.agentId, didHash: event.didHash, record };
  }
  if (ids.some((id) => id !== undefined)) {
    throw new ChainError('rpc_bad_answer', { detail: 'an agent whose registration is missing' });
  }
  return undefined;
}

function ownEvents(contract: string, agentId: string): LogFilter {
  const events = [KEY_ADDED, KEY_REVOKED, AGENT_ACTIVATED, AGENT_DEACTIVATED_BY_HASH];
  return { address: contract, topics: [events, agentId] };
}

/** The second round trip, at the block of the first. */
async function readOwn(
  rpc: Pick<Rpc, 'batch'>,
  ref: CardRef,
  { agentId, record: { keyHashes } }: Found,
  first: Snapshot,
): Promise<{ logs: readonly ChainLog[]; states: readonly RpcAnswer[]; keyHashes: readonly string[] }> {
  const { contract } = ref;
  const { logs, states } = await readSnapshot(
    rpc,
    { contract, calls: keyHashes.map(getKeyCall), filters: [ownEvents(contract, agentId)] },
    { ...ref, at: first.head },
  );
  const ofTheDid = first.logs.filter(
    ({ topics: [event] }) => event === AGENT_REGISTERED || event === AGENT_DEACTIVATED,
  );
  return { logs: [...ofTheDid, ...logs], states, keyHashes };
}

/**
 * Which of the keys that storage calls unverified were made so by the owners of other agents, which means nothing.
 * Whatever else made one so is believed.
 */
async function revokedByStrangers(
  rpc: Pick<Rpc, 'batch'>,
  { contract, fromBlock = 0 }: CardRef,
  agentId: string,
  doubtful: readonly CardKey[],
  head: BlockRef,
): Promise<ReadonlySet<string>> {
  const strangers = new Set<string>();
  for (const { keyHash } of doubtful) {
    const filter = { address: contract, topics: [KEY_REVOKED, null, keyHash] };
    const batch: Rpc['batch'] = (calls) => rpc.batch(calls);
    try {
      const logs = await getLogsInRange(batch, filter, fromBlock, head.number, STRANGERS_LIMITS);
      const theirs = logs.some(
        ({ address, topics }) =>
          address === contract && topics[0] === KEY_REVOKED && topics[2] === keyHash && topics[1] !== agentId,
      );
      if (theirs) strangers.add(keyHash);
    } catch (error) {
      // So many that they are not counted: the agent's own revocation would have ended the key already.
      if (!(error instanceof ChainError) || error.code !== 'history_too_long') throw error;
      strangers.add(keyHash);
    }
  }
  return strangers;
}

function keysOf(
  history: ReturnType<typeof replayCard>,
  stored: ReadonlyMap<string, StoredKey>,
  revokedByOthers: ReadonlySet<string>,
  safeBlock: number,
): Pick<CardKeys, 'keys' | 'pending'> {
  const keys: ChainKey[] = [];
  const pending: ChainKey[] = [];
  const { deactivated, activeAtBlock } = history;
  if (deactivated || activeAtBlock === undefined) return { keys, pending };
  for (const { fragment, keyHash, keyType, setAtBlock } of history.keys) {
    const key = stored.get(keyHash);
    if (key === undefined || key.keyType !== keyType) {
      throw new ChainError('rpc_bad_answer', { detail: 'a key of another type than its event says' });
    }
    if (!key.verified && !revokedByOthers.has(keyHash)) continue;
    const material = materialOf(keyType, key.keyData);
    if (material === undefined) continue;
    const sinceBlock = Math.max(setAtBlock, activeAtBlock);
    (sinceBlock <= safeBlock ? keys : pending).push({ fragment, ...material, notAfter: 0, setAtBlock });
  }
  return { keys, pending };
}
