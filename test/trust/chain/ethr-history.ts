/** Writes an identity's history as its logs would tell it, each event naming the block of the one before. */
import { AbiCoder } from 'ethers';
import type { ChainLog } from '../../../src/trust/chain/blocks.ts';
import {
  DID_ATTRIBUTE_CHANGED,
  DID_DELEGATE_CHANGED,
  DID_OWNER_CHANGED,
} from '../../../src/trust/chain/ethr-events.ts';
import { bytes32 } from './contract-fixture.ts';

export const IDENTITY = `0x${'1d'.repeat(20)}`;
export const HEAD_TIME = 1_000_000;

export type Told = readonly [
  topic: string,
  types: readonly string[],
  values: readonly unknown[],
  block: number,
];

export function owner(block: number, address: string): Told {
  return [DID_OWNER_CHANGED, ['address'], [address], block];
}

export function delegate(block: number, type: string, address: string, validTo: number): Told {
  return [DID_DELEGATE_CHANGED, ['bytes32', 'address', 'uint256'], [bytes32(type), address, validTo], block];
}

export function attribute(block: number, name: string, value: string, validTo: number): Told {
  return [DID_ATTRIBUTE_CHANGED, ['bytes32', 'bytes', 'uint256'], [bytes32(name), value, validTo], block];
}

export function historyOf(...told: readonly Told[]): ChainLog[] {
  return told.map(([topic, types, values, blockNumber], logIndex) => ({
    address: `0x${'11'.repeat(20)}`,
    topics: [topic, `0x${'00'.repeat(12)}${IDENTITY.slice(2)}`],
    data: AbiCoder.defaultAbiCoder().encode([...types, 'uint256'], [...values, told[logIndex - 1]?.[3] ?? 0]),
    blockNumber,
    blockHash: `0x${blockNumber.toString(16).padStart(64, '0')}`,
    logIndex,
    removed: false,
  }));
}
