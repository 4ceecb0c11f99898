import { expect, test } from 'vitest';
import { replayKeys } from '../../../src/trust/chain/key-history.ts';
import { someKey } from './fixture.ts';
import { AGENT, mint, revoke, setKey } from './history.ts';

const [first, second] = [someKey(), someKey(1_900_000_000)];

test('a key set above the safe block is pending, and a key once its block is safe', () => {
  const logs = [mint(10), setKey(10, 'k1', first)];
  expect(replayKeys(logs, AGENT, 9)).toMatchObject({
    keys: [],
    pending: [{ fragment: 'k1', setAtBlock: 10 }],
  });
  expect(replayKeys(logs, AGENT, 10)).toMatchObject({ keys: [{ fragment: 'k1', ...first }], pending: [] });
  expect(replayKeys(logs, AGENT, -1).keys).toEqual([]);
});

test('a revocation counts at once, safe or not', () => {
  const logs = [mint(10), setKey(10, 'k1', first), setKey(10, 'k2', second, 2), revoke(50, 'k1')];
  expect(replayKeys(logs, AGENT, 20).keys).toMatchObject([{ fragment: 'k2', ...second }]);
});

test('an overwritten key is dead at once, while its successor waits', () => {
  const logs = [mint(10), setKey(10, 'k1', first), setKey(50, 'k1', second)];
  expect(replayKeys(logs, AGENT, 20)).toMatchObject({
    keys: [],
    pending: [{ fragment: 'k1', setAtBlock: 50 }],
  });
  expect(replayKeys(logs, AGENT, 50).keys).toMatchObject([{ fragment: 'k1', ...second }]);
});

test('the same value written again stays the key it was, but not across a revocation', () => {
  const logs = [mint(10), setKey(10, 'k1', first), setKey(50, 'k1', first)];
  expect(replayKeys(logs, AGENT, 20).keys).toMatchObject([{ fragment: 'k1', setAtBlock: 10 }]);
  expect(replayKeys([...logs, revoke(51, 'k1'), setKey(52, 'k1', first)], AGENT, 20)).toMatchObject({
    keys: [],
    pending: [{ fragment: 'k1', setAtBlock: 52 }],
  });
});

test('the order of the chain decides, not the order in which logs were given, and withdrawn logs do not', () => {
  const logs = [revoke(10, 'k1', 3), setKey(10, 'k1', first, 2), mint(10)];
  expect(replayKeys(logs, AGENT, 20).keys).toEqual([]);
  const withdrawn = { ...revoke(11, 'k1'), removed: true };
  expect(replayKeys([mint(10), setKey(10, 'k1', first), withdrawn], AGENT, 20).keys).toHaveLength(1);
});
