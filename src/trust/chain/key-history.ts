/**
 * From the events of one agent to the keys it has now. Finality is asymmetric: what takes away counts at `latest`,
 * what grants only once its block is safe, so that no reorganisation can ever have let a key in.
 *
 * The events are replayed in the order of the chain, and per fragment the last one decides:
 * - a transfer other than the mint revokes every key set before it, since the seller still holds them;
 * - an empty value revokes; a malformed one does too, because the contract no longer holds the old key either;
 * - a key overwritten is dead at once, while its successor waits until its block is safe.
 */
import type { ChainLog } from './blocks.ts';
import { decodeEvent } from './events.ts';
import { decodeKeySlot, fragmentOf, type KeySlot } from './key-slot.ts';

export interface AgentKey extends KeySlot {
  readonly fragment: string;
  /** The block since which the slot holds this very value. */
  readonly setAtBlock: number;
}

export interface IgnoredKey {
  /** Empty when the fragment itself is malformed. */
  readonly fragment: string;
  readonly blockNumber: number;
  readonly reason: 'malformed_fragment' | 'malformed_value' | 'too_many_keys';
}

export interface KeyHistory {
  /** Lower case; undefined when the agent was never minted, or burnt. */
  readonly owner: string | undefined;
  readonly keys: readonly AgentKey[];
  /** Set, but in a block that is not safe yet: they verify nothing, and explain a refusal. */
  readonly pending: readonly AgentKey[];
  readonly ignored: readonly IgnoredKey[];
}

/** Slots in use at once. An agent rotates a handful of keys; the rest would only make its document expensive. */
export const KEYS_PER_AGENT_MAX = 64;

interface Slot {
  readonly value: Buffer;
  readonly setAtBlock: number;
}

/**
 * @param logs the agent's `MetadataSet` and `Transfer` events, all of them, in any order
 * @param safeBlock highest block that counts as safe; -1 when the chain has none yet
 * @throws ChainError `rpc_bad_answer` for an event that cannot be decoded
 */
export function replayKeys(logs: readonly ChainLog[], agentId: bigint, safeBlock: number): KeyHistory {
  let owner: string | undefined;
  const slots = new Map<string, Slot>();
  const ignored: IgnoredKey[] = [];
  for (const log of inChainOrder(logs)) {
    const event = decodeEvent(log);
    if (event === undefined || event.agentId !== agentId) continue;
    if (event.kind === 'transfer') {
      owner = event.to;
      if (event.from !== undefined) slots.clear();
    } else if (event.kind === 'metadata') {
      setSlot(slots, ignored, event.key, event.value, log.blockNumber);
    }
  }
  return owner === undefined
    ? { owner, keys: [], pending: [], ignored }
    : judge(owner, slots, ignored, safeBlock);
}

export function inChainOrder(logs: readonly ChainLog[]): ChainLog[] {
  return logs
    .filter((log) => !log.removed)
    .sort((a, b) => a.blockNumber - b.blockNumber || a.logIndex - b.logIndex);
}

function setSlot(
  slots: Map<string, Slot>,
  ignored: IgnoredKey[],
  metadataKey: string,
  bytes: Uint8Array,
  blockNumber: number,
): void {
  const fragment = fragmentOf(metadataKey);
  if (fragment === undefined) return;
  if (fragment === '') {
    ignored.push({ fragment, blockNumber, reason: 'malformed_fragment' });
    return;
  }
  const value = Buffer.from(bytes);
  // The same bytes written again grant nothing new: the key has been there since its first writing.
  if (slots.get(fragment)?.value.equals(value)) return;
  slots.delete(fragment);
  if (value.length > 0) slots.set(fragment, { value, setAtBlock: blockNumber });
}

function judge(
  owner: string,
  slots: Map<string, Slot>,
  ignored: IgnoredKey[],
  safeBlock: number,
): KeyHistory {
  const keys: AgentKey[] = [];
  const pending: AgentKey[] = [];
  for (const [fragment, { value, setAtBlock }] of slots) {
    const slot = decodeKeySlot(value);
    if (slot === undefined) {
      ignored.push({ fragment, blockNumber: setAtBlock, reason: 'malformed_value' });
    } else if (keys.length + pending.length >= KEYS_PER_AGENT_MAX) {
      ignored.push({ fragment, blockNumber: setAtBlock, reason: 'too_many_keys' });
    } else {
      (setAtBlock <= safeBlock ? keys : pending).push({ fragment, ...slot, setAtBlock });
    }
  }
  return { owner, keys, pending, ignored };
}
