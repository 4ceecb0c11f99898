/** The events of SAGE's AgentCardRegistry that concern keys, decoded strictly. */
import { bytesOf, malformed, uintAt } from './abi.ts';
import type { ChainLog } from './blocks.ts';

/** keccak256 of `AgentRegistered(bytes32,string,address,uint256)`. */
export const AGENT_REGISTERED = '0x1d1edfbe93d381ab532cea862c0ee3fde2e6e88803b77f675fe3946635608ade';
/** keccak256 of `KeyAdded(bytes32,bytes32,uint8,uint256)`. */
export const KEY_ADDED = '0x11f138c8931fc92ab4fbeb5dd32df17d56c9411a543739c3526ed0265d8fad13';
/** keccak256 of `KeyRevoked(bytes32,bytes32,uint256)`. */
export const KEY_REVOKED = '0x209fb85e2522622566ffdf13e48258218f4c155aefc75703539e1a971380cd3f';
/** keccak256 of `AgentActivated(bytes32,uint256)`. */
export const AGENT_ACTIVATED = '0x0865b389859e9da765f37427076dccde87d891446c7283dade7653efa4ca133b';
/** keccak256 of `AgentDeactivatedByHash(bytes32,uint256)`. */
export const AGENT_DEACTIVATED_BY_HASH = '0xb744c2ed9952c7041822a155d9cf761a7456f4876bdf9df34784d690c8647684';
/** keccak256 of `AgentDeactivated(string,address)`. */
export const AGENT_DEACTIVATED = '0x93a9b474019118d48d48eb70cc1fe2337fec1a4cf516207432544a4065b7cc54';

/** The DID is only a hash in the events: 0x and 64 hex digits, as the agent id is. */
export type CardEvent =
  | { readonly kind: 'registered'; readonly agentId: string; readonly didHash: string }
  | {
      readonly kind: 'key-added';
      readonly agentId: string;
      readonly keyHash: string;
      readonly keyType: number;
    }
  | { readonly kind: 'key-revoked'; readonly agentId: string; readonly keyHash: string }
  | { readonly kind: 'activated'; readonly agentId: string }
  | { readonly kind: 'deactivated'; readonly agentId: string }
  | { readonly kind: 'deactivated-did'; readonly didHash: string };

/**
 * @returns undefined for an event that says nothing about keys.
 * @throws ChainError `rpc_bad_answer` when the log is not what its first topic promises
 */
export function decodeCardEvent(log: ChainLog): CardEvent | undefined {
  const [event] = log.topics;
  switch (event) {
    case AGENT_REGISTERED: {
      const [agentId, didHash] = topicsOf(log, 3, 'AgentRegistered');
      return { kind: 'registered', agentId, didHash };
    }
    case KEY_ADDED: {
      const [agentId, keyHash] = topicsOf(log, 2, 'KeyAdded');
      const keyType = Number(uintAt(bytesOf(log.data), 0, 'KeyAdded'));
      return { kind: 'key-added', agentId, keyHash, keyType };
    }
    case KEY_REVOKED: {
      const [agentId, keyHash] = topicsOf(log, 2, 'KeyRevoked');
      return { kind: 'key-revoked', agentId, keyHash };
    }
    case AGENT_ACTIVATED:
      return { kind: 'activated', agentId: topicsOf(log, 1, 'AgentActivated')[0] };
    case AGENT_DEACTIVATED_BY_HASH:
      return { kind: 'deactivated', agentId: topicsOf(log, 1, 'AgentDeactivatedByHash')[0] };
    case AGENT_DEACTIVATED:
      return { kind: 'deactivated-did', didHash: topicsOf(log, 2, 'AgentDeactivated')[0] };
    default:
      return undefined;
  }
}

function topicsOf(log: ChainLog, indexed: number, what: string): [string, string] {
  if (log.topics.length !== 1 + indexed) throw malformed(what);
  return [log.topics[1] ?? '', log.topics[2] ?? ''];
}
