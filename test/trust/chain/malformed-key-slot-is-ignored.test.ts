import { expect, test } from 'vitest';
import { KEYS_PER_AGENT_MAX, replayKeys } from '../../../src/trust/chain/key-history.ts';
import { decodeKeySlot, encodeKeySlot, metadataKeyOf } from '../../../src/trust/chain/key-slot.ts';
import { someKey } from './fixture.ts';
import { AGENT, mint, set, setKey } from './history.ts';

test('what is no key slot is reported and grants nothing', () => {
  const endless = encodeKeySlot(someKey());
  endless.fill(0xff, 1, 9);
  const { keys, ignored } = replayKeys(
    [
      mint(1),
      set(2, 'did/vm/short', Uint8Array.of(1, 0, 0)),
      set(3, 'did/vm/no-key', new Uint8Array(9)),
      set(4, 'did/vm/long', new Uint8Array(5000)),
      set(5, 'did/vm/endless', endless),
      set(6, 'did/vm/', encodeKeySlot(someKey())),
      set(7, 'did/vm/a b#c', encodeKeySlot(someKey())),
      set(8, 'agentName', Buffer.from('did/vm/good')),
      setKey(9, 'good', someKey()),
    ],
    AGENT,
    100,
  );
  expect(keys.map((key) => key.fragment)).toEqual(['good']);
  expect(ignored.map(({ fragment, reason }) => `${fragment} ${reason}`).sort()).toEqual([
    ' malformed_fragment',
    ' malformed_fragment',
    'endless malformed_value',
    'long malformed_value',
    'no-key malformed_value',
    'short malformed_value',
  ]);
});

test('a malformed value overwrites: the key before it is dead', () => {
  const logs = [mint(1), setKey(2, 'k1', someKey()), set(3, 'did/vm/k1', Uint8Array.of(9))];
  expect(replayKeys(logs, AGENT, 100)).toMatchObject({
    keys: [],
    ignored: [{ fragment: 'k1', blockNumber: 3 }],
  });
});

test('keys beyond the bound are ignored, the oldest stay', () => {
  const sets = Array.from({ length: KEYS_PER_AGENT_MAX + 3 }, (_, i) => setKey(2 + i, `k${i}`, someKey()));
  const { keys, ignored } = replayKeys([mint(1), ...sets], AGENT, 1000);
  expect(keys).toHaveLength(KEYS_PER_AGENT_MAX);
  expect(ignored.map((key) => key.reason)).toEqual(['too_many_keys', 'too_many_keys', 'too_many_keys']);
});

test('a slot reads back as written, and what would not is refused to the writer', () => {
  const slot = { flags: 3, notAfter: 1_900_000_000, multikey: new Uint8Array(35).fill(7) };
  expect(decodeKeySlot(encodeKeySlot(slot))).toEqual(slot);
  expect(() => encodeKeySlot({ ...slot, flags: 256 })).toThrow(RangeError);
  expect(() => encodeKeySlot({ ...slot, notAfter: -1 })).toThrow(RangeError);
  expect(() => encodeKeySlot({ ...slot, multikey: new Uint8Array(2000) })).toThrow(RangeError);
  expect(() => metadataKeyOf('a/b')).toThrow(RangeError);
});
