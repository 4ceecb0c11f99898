import { AbiCoder, id } from 'ethers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ChainLog } from '../../../src/trust/chain/blocks.ts';
import {
  agentTopic,
  decodeEvent,
  METADATA_SET,
  REGISTERED,
  TRANSFER,
} from '../../../src/trust/chain/events.ts';

const ZERO_TOPIC = agentTopic(0n);

function log(topics: readonly string[], data = '0x'): ChainLog {
  const blockHash = `0x${'ab'.repeat(32)}`;
  return {
    address: `0x${'11'.repeat(20)}`,
    topics,
    data,
    blockNumber: 1,
    blockHash,
    logIndex: 0,
    removed: false,
  };
}

test('the topics are the hashes of the signatures in the standard', () => {
  expect(REGISTERED).toBe(id('Registered(uint256,string,address)'));
  expect(METADATA_SET).toBe(id('MetadataSet(uint256,string,string,bytes)'));
  expect(TRANSFER).toBe(id('Transfer(address,address,uint256)'));
});

test('MetadataSet decodes to what ethers encoded', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
      fc.string({ unit: 'grapheme', maxLength: 120 }),
      fc.uint8Array({ maxLength: 1100 }),
      (agentId, key, value) => {
        const data = AbiCoder.defaultAbiCoder().encode(['string', 'bytes'], [key, value]);
        const event = decodeEvent(log([METADATA_SET, agentTopic(agentId), id(key)], data));
        expect(event).toEqual({ kind: 'metadata', agentId, key, value: Buffer.from(value) });
      },
    ),
  );
});

test('data that leads out of itself is a bad answer, never a read beyond it', () => {
  const good = AbiCoder.defaultAbiCoder().encode(['string', 'bytes'], ['did/vm/k', '0x0102']);
  const topics = [METADATA_SET, agentTopic(1n), ZERO_TOPIC];
  expect(() => decodeEvent(log(topics, '0x'))).toThrow('malformed');
  fc.assert(
    fc.property(fc.nat(good.length / 2 - 2), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bytes = Buffer.from(good.slice(2), 'hex');
      bytes[at] = (bytes[at] as number) ^ change;
      try {
        const event = decodeEvent(log(topics, `0x${bytes.toString('hex')}`));
        expect(event?.kind).toBe('metadata');
      } catch (error) {
        expect(error).toMatchObject({ code: 'rpc_bad_answer' });
      }
    }),
  );
});

test('a Transfer names the token in its third topic, and a mint has no former owner', () => {
  const owner = `0x${'22'.repeat(20)}`;
  const topics = [TRANSFER, ZERO_TOPIC, `0x${'00'.repeat(12)}${owner.slice(2)}`, agentTopic(7n)];
  expect(decodeEvent(log(topics))).toEqual({ kind: 'transfer', agentId: 7n, from: undefined, to: owner });
  expect(() => decodeEvent(log(topics.slice(0, 3)))).toThrow('malformed');
});
