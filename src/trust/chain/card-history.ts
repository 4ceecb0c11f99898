/**
 * From the events of an agent in SAGE's AgentCardRegistry to the keys it has now. That contract has holes, so its
 * storage is believed only where its events agree:
 *
 * - after its owner deactivated an agent anybody can set it active again: a deactivation ever seen ends it for good;
 * - the owner of any agent can revoke the keys of any other: a revocation counts when it carries the key's own agent;
 * - what a revocation leaves behind changes its place in storage: `#key-n` is the n-th key that was ever added.
 *
 * (An Ed25519 key is registered with any 64 bytes for a proof: who uses it proves it, as every request does.)
 */
import type { ChainLog } from './blocks.ts';
import { decodeCardEvent } from './card-events.ts';
import { ChainError } from './errors.ts';
import { inChainOrder } from './key-history.ts';

export interface CardAgent {
  /** 0x and 64 hex digits. */
  readonly agentId: string;
  readonly didHash: string;
  /** What the storage says now. */
  readonly active: boolean;
  readonly keyHashes: readonly string[];
}

export interface CardKey {
  readonly fragment: string;
  readonly keyHash: string;
  /** 0 ECDSA (secp256k1), 1 Ed25519, 2 X25519. */
  readonly keyType: number;
  readonly setAtBlock: number;
}

export interface CardHistory {
  /** Ended for good. */
  readonly deactivated: boolean;
  /** The block since which keys may count; undefined while nobody has activated the agent. */
  readonly activeAtBlock: number | undefined;
  /** Not revoked, in the order in which they were added. */
  readonly keys: readonly CardKey[];
}

/**
 * @param logs every event that carries the agent's id or its DID, in any order
 * @throws ChainError `rpc_bad_answer` for an event that cannot be decoded, or when storage and events contradict
 */
export function replayCard(logs: readonly ChainLog[], agent: CardAgent): CardHistory {
  const keys = new Map<string, CardKey>();
  let added = 0;
  let deactivated = false;
  let activeAtBlock: number | undefined;
  for (const log of inChainOrder(logs)) {
    const event = decodeCardEvent(log);
    if (event === undefined || !concerns(event, agent)) continue;
    switch (event.kind) {
      case 'key-added': {
        added += 1;
        const { keyHash, keyType } = event;
        keys.set(keyHash, { fragment: `key-${added}`, keyHash, keyType, setAtBlock: log.blockNumber });
        break;
      }
      case 'key-revoked':
        keys.delete(event.keyHash);
        break;
      case 'activated':
        activeAtBlock ??= log.blockNumber;
        break;
      case 'deactivated':
      case 'deactivated-did':
        deactivated = true;
        break;
      default:
    }
  }
  const stored = new Set(agent.keyHashes);
  if (stored.size !== keys.size || !agent.keyHashes.every((hash) => keys.has(hash))) {
    throw new ChainError('rpc_bad_answer', {
      detail: `the events leave ${keys.size} keys, the contract others`,
    });
  }
  return { deactivated, activeAtBlock: agent.active ? activeAtBlock : undefined, keys: [...keys.values()] };
}

function concerns(
  event: NonNullable<ReturnType<typeof decodeCardEvent>>,
  { agentId, didHash }: CardAgent,
): boolean {
  return event.kind === 'deactivated-did' ? event.didHash === didHash : event.agentId === agentId;
}
