/** Writes an agent's history as its logs would tell it. */
import { AbiCoder, id } from 'ethers';
import type { ChainLog } from '../../../src/trust/chain/blocks.ts';
import { agentTopic, METADATA_SET, TRANSFER } from '../../../src/trust/chain/events.ts';
import { encodeKeySlot, type KeySlot } from '../../../src/trust/chain/key-slot.ts';

export const AGENT = 5n;
export const ALICE = `0x${'a1'.repeat(20)}`;
export const BOB = `0x${'b0'.repeat(20)}`;
const NOBODY = `0x${'00'.repeat(20)}`;

function log(block: number, index: number, topics: string[], data: string): ChainLog {
  const blockHash = `0x${block.toString(16).padStart(64, '0')}`;
  return {
    address: `0x${'11'.repeat(20)}`,
    topics,
    data,
    blockNumber: block,
    blockHash,
    logIndex: index,
    removed: false,
  };
}

export function transfer(block: number, from: string, to: string, index = 0): ChainLog {
  const party = (address: string): string => `0x${address.slice(2).padStart(64, '0')}`;
  return log(block, index, [TRANSFER, party(from), party(to), agentTopic(AGENT)], '0x');
}

export function mint(block: number): ChainLog {
  return transfer(block, NOBODY, ALICE);
}

export function burn(block: number): ChainLog {
  return transfer(block, ALICE, NOBODY);
}

export function set(block: number, key: string, value: Uint8Array, index = 1): ChainLog {
  const data = AbiCoder.defaultAbiCoder().encode(['string', 'bytes'], [key, value]);
  return log(block, index, [METADATA_SET, agentTopic(AGENT), id(key)], data);
}

export function setKey(block: number, fragment: string, slot: KeySlot, index = 1): ChainLog {
  return set(block, `did/vm/${fragment}`, encodeKeySlot(slot), index);
}

export function revoke(block: number, fragment: string, index = 1): ChainLog {
  return set(block, `did/vm/${fragment}`, new Uint8Array(), index);
}
