/** From logs to what a cache of keys must know: which agent is to be read again, and why. */
import type { ContractKind } from '../did/ports.ts';
import type { RingBlock, TouchedAgent } from './block-ring.ts';
import type { BlockRef, ChainLog } from './blocks.ts';
import { decodeCardEvent } from './card-events.ts';
import { ChainError } from './errors.ts';
import { decodeEthrEvent } from './ethr-events.ts';
import { decodeEvent } from './events.ts';
import { fragmentOf } from './key-slot.ts';

interface AgentChange extends TouchedAgent {
  /**
   * `key`: a key slot was written, or its block became safe. `transfer`: a new owner, so every key is dead.
   * `registered`: the agent came to be. `reorg`: a block that touched the agent did not happen after all.
   */
  readonly kind: 'key' | 'transfer' | 'registered' | 'reorg';
  /** Of a `key` change, when its name is well-formed. */
  readonly fragment?: string;
  /** True for the second report of a `key`: what was written now counts. */
  readonly safe: boolean;
  readonly blockNumber: number;
  readonly blockHash: string;
}

/** Any agent of the registry may have changed: the watcher could not follow the chain through. */
interface RegistryReset {
  readonly kind: 'reset';
  readonly registry: string;
  readonly blockNumber: number;
  readonly blockHash: string;
}

export type RegistryChange = AgentChange | RegistryReset;

export interface ChangeReporter {
  /** Reports the events of one block, except those heard already, and returns whom they touch. */
  block(block: BlockRef, logs: readonly ChainLog[]): readonly TouchedAgent[] | undefined;
  /** Reports an event at once, before its block is known to stand. */
  hear(log: ChainLog): void;
  dropped(block: RingBlock): void;
  /** Reports again the keys whose block is now safe. @param tip the last block that was followed */
  becameSafe(safeBlock: number, tip: BlockRef): void;
  reset(at: BlockRef): void;
  /** Anybody may have changed in what was not read up to this block, and again when what it grants counts. */
  unread(upTo: BlockRef): void;
}

/** Agents kept for one block; a block of 30 million gas holds about 800 registrations. */
const TOUCHED_PER_BLOCK_MAX = 1024;

/** Keys waiting to become safe. Each costs its owner a transaction; beyond it their registries are reset instead. */
const PENDING_MAX = 10_000;

/** Blocks of which it is remembered what was heard; they are followed within milliseconds, so few are ever open. */
const HEARD_BLOCKS_MAX = 64;

/**
 * @param kinds of the contracts, by lower-case address; a log from anywhere else is a bad answer
 * @param emit must not throw
 */
export function createChangeReporter(
  kinds: ReadonlyMap<string, ContractKind>,
  emit: (change: RegistryChange) => void,
): ChangeReporter {
  const pending = new Map<string, AgentChange>();
  const heard = new Map<string, Set<number>>();
  // The highest block of which a pending key was not kept, or that was not read.
  let overflow = -1;

  function remember(key: string, change: AgentChange): void {
    if (pending.size < PENDING_MAX) pending.set(key, change);
    else overflow = Math.max(overflow, change.blockNumber);
  }

  function reset(at: BlockRef): void {
    for (const registry of kinds.keys()) {
      emit({ kind: 'reset', registry, blockNumber: at.number, blockHash: at.hash });
    }
  }

  return {
    block(block, logs) {
      const early = heard.get(block.hash);
      heard.delete(block.hash);
      const touched = new Map<string, TouchedAgent>();
      for (const log of logs) {
        const found = changeOf(kinds, log);
        if (found === undefined) continue;
        const { change } = found;
        if (early?.has(log.logIndex) !== true) emit(change);
        if (found.grants) remember(`${log.blockHash}:${log.logIndex}`, change);
        touched.set(`${change.registry}:${change.agentId}`, change);
      }
      return touched.size > TOUCHED_PER_BLOCK_MAX
        ? undefined
        : Array.from(touched.values(), ({ registry, agentId }) => ({ registry, agentId }));
    },
    hear(log) {
      const found = changeOf(kinds, log);
      if (found === undefined) return;
      if (log.removed) {
        const { registry, agentId, blockNumber, blockHash } = found.change;
        emit({ kind: 'reorg', registry, agentId, safe: false, blockNumber, blockHash });
        return;
      }
      emit(found.change);
      const indexes = heard.get(log.blockHash) ?? new Set();
      indexes.add(log.logIndex);
      heard.set(log.blockHash, indexes);
      // A block that never gets followed leaves its entry behind; the oldest goes, at worst something is reported twice.
      if (heard.size > HEARD_BLOCKS_MAX) heard.delete(heard.keys().next().value as string);
    },
    dropped(block) {
      for (const [key, change] of pending) if (change.blockHash === block.hash) pending.delete(key);
      if (block.agents === undefined) return reset(block);
      for (const agent of block.agents) {
        emit({ kind: 'reorg', ...agent, safe: false, blockNumber: block.number, blockHash: block.hash });
      }
    },
    becameSafe(safeBlock, tip) {
      for (const [key, change] of pending) {
        if (change.blockNumber > safeBlock) continue;
        pending.delete(key);
        emit({ ...change, safe: true });
      }
      if (overflow >= 0 && overflow <= safeBlock) {
        // At the tip: of an older block, a reset would say that answers from before later revocations will do.
        reset(tip);
        overflow = -1;
      }
    },
    unread(upTo) {
      heard.delete(upTo.hash);
      overflow = Math.max(overflow, upTo.number);
      reset(upTo);
    },
    reset(at) {
      // What was pending before may not stand any more; what still does is found again by the blocks that follow.
      pending.clear();
      heard.clear();
      reset(at);
    },
  };
}

/** @throws ChainError `rpc_bad_answer` */
function changeOf(
  kinds: ReadonlyMap<string, ContractKind>,
  log: ChainLog,
): { change: AgentChange; grants: boolean } | undefined {
  const kind = kinds.get(log.address);
  if (kind === undefined) {
    throw new ChainError('rpc_bad_answer', { detail: 'a log of a registry that was not asked for' });
  }
  const { address: registry, blockNumber, blockHash } = log;
  if (kind !== 'erc8004') {
    const found = kind === 'ethr' ? identityOf(log) : cardOf(log);
    if (found === undefined) return undefined;
    const change: AgentChange = {
      kind: 'key',
      registry,
      agentId: found,
      safe: false,
      blockNumber,
      blockHash,
    };
    // Whether it grants depends on what came before; told twice, it is read twice.
    return { change, grants: true };
  }
  const event = decodeEvent(log);
  if (event === undefined) return undefined;
  const { agentId } = event;
  const at = { registry, agentId, safe: false, blockNumber, blockHash };
  if (event.kind !== 'metadata') return { change: { kind: event.kind, ...at }, grants: false };
  const fragment = fragmentOf(event.key);
  if (fragment === undefined) return undefined;
  const change: AgentChange = fragment === '' ? { kind: 'key', ...at } : { kind: 'key', fragment, ...at };
  return { change, grants: fragment !== '' && event.value.length > 0 };
}

/** The identity of an ERC-1056 event. */
function identityOf(log: ChainLog): bigint | undefined {
  const event = decodeEthrEvent(log);
  return event === undefined ? undefined : BigInt(event.identity);
}

/** What an event of an AgentCardRegistry calls its agent: the hash of its DID where it has that, else its id. */
function cardOf(log: ChainLog): bigint | undefined {
  const event = decodeCardEvent(log);
  if (event === undefined) return undefined;
  return BigInt('didHash' in event ? event.didHash : event.agentId);
}
