/**
 * The events of an ERC-8004 identity registry that concern keys. Decoded here rather than by ethers, so that a
 * gateway that only reads a chain does not load it; a test holds the two against each other.
 */
import { bytesAt, bytesOf, malformed, WORD_BYTES } from './abi.ts';
import type { ChainLog } from './blocks.ts';

/** keccak256 of `Registered(uint256,string,address)`. */
export const REGISTERED = '0xca52e62c367d81bb2e328eb795f7c7ba24afb478408a26c0e201d155c449bc4a';
/** keccak256 of `MetadataSet(uint256,string,string,bytes)`. */
export const METADATA_SET = '0x2c149ed548c6d2993cd73efe187df6eccabe4538091b33adbd25fafdb8a1468b';
/** keccak256 of `Transfer(address,address,uint256)` (ERC-721). */
export const TRANSFER = '0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef';

export const ZERO_ADDRESS = `0x${'0'.repeat(40)}`;

export type RegistryEvent =
  | { readonly kind: 'registered'; readonly agentId: bigint }
  | { readonly kind: 'metadata'; readonly agentId: bigint; readonly key: string; readonly value: Uint8Array }
  | {
      readonly kind: 'transfer';
      readonly agentId: bigint;
      /** Undefined when the token was minted. */
      readonly from: string | undefined;
      /** Undefined when the token was burnt. */
      readonly to: string | undefined;
    };

/**
 * An agent id as the topic of an indexed `uint256`.
 * @throws RangeError for a number that is no `uint256`
 */
export function agentTopic(agentId: bigint): string {
  if (agentId < 0n || agentId >= 1n << 256n) throw new RangeError('an agent id is a uint256');
  return `0x${agentId.toString(16).padStart(2 * WORD_BYTES, '0')}`;
}

/**
 * @returns undefined for an event that says nothing about keys.
 * @throws ChainError `rpc_bad_answer` when the log is not what its first topic promises.
 */
export function decodeEvent(log: ChainLog): RegistryEvent | undefined {
  const [event, first, second, third] = log.topics;
  switch (event) {
    case METADATA_SET: {
      if (log.topics.length !== 3) throw malformed('MetadataSet');
      const data = bytesOf(log.data);
      const key = bytesAt(data, 0, 0, 'MetadataSet');
      const value = bytesAt(data, 0, WORD_BYTES, 'MetadataSet');
      return { kind: 'metadata', agentId: BigInt(first as string), key: key.toString('utf8'), value };
    }
    case TRANSFER:
      // ERC-20 shares the signature but not the third index; no ERC-721 registry emits it so.
      if (log.topics.length !== 4) throw malformed('Transfer');
      return {
        kind: 'transfer',
        agentId: BigInt(third as string),
        from: partyOf(first as string),
        to: partyOf(second as string),
      };
    case REGISTERED:
      if (log.topics.length !== 3) throw malformed('Registered');
      return { kind: 'registered', agentId: BigInt(first as string) };
    default:
      return undefined;
  }
}

function partyOf(topic: string): string | undefined {
  const address = `0x${topic.slice(-40)}`;
  return address === ZERO_ADDRESS ? undefined : address;
}
