import { afterAll, beforeAll, expect, it } from 'vitest';
import { agentDid, parseKeyId } from '../../../src/trust/did/did-url.ts';
import { createAgeClock } from '../../../src/trust/did/staleness.ts';
import type { KeySource } from '../../../src/trust/key-source.ts';
import { until } from '../../support/gateway.ts';
import { followKeys, someKey, startChain, type TestChain } from '../chain/fixture.ts';
import { codeOf } from './world.ts';

const HOUR_MS = 3_600_000;

let chain: TestChain;
let keys: KeySource;
let wallAheadMs = 0;
let monotonicAheadMs = 0;

beforeAll(async () => {
  chain = await startChain();
  keys = followKeys(chain, {
    now: () => Date.now() + wallAheadMs,
    monotonicNow: () => performance.now() + monotonicAheadMs,
  });
});
afterAll(async () => {
  await keys.close();
  await chain[Symbol.asyncDispose]();
});

it('a chain that is not seen any more is lost, though the clock says that it is an hour ago', async () => {
  const { agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } });
  const keyId = parseKeyId(`${agentDid(chain.anvil.chainId, chain.registry, agentId)}#main`);
  const find = () =>
    codeOf(async () => keys.resolver.admit(await keys.resolver.find(keyId, { safeMethod: true })));
  await until(async () => (await find()) === 'no error', 'the key is in memory');
  expect(await keys.resolver.find(keyId, { safeMethod: true })).toMatchObject({ tier: 'memory' });
  wallAheadMs = -HOUR_MS;
  // Or it would be used for an hour more than it may.
  await until(() => keys.resolver.stats().chainKeys === 0, 'what was read before is forgotten');
  expect(await find()).toBe('no error');
  await chain.anvil.kill();
  await until(() => keys.chains()[0]?.state.connected === false, 'the loss is noticed');
  wallAheadMs = -2 * HOUR_MS;
  monotonicAheadMs = 61_000;
  await until(async () => (await find()) === 'did_stale', 'nobody is served', 3_000);
  expect(keys.chains()[0]?.ageMs).toBeGreaterThan(60_000);
});

it('ages grow by whichever clock went further, and never shrink', () => {
  let [wallMs, monotonicMs] = [1_000_000, 0];
  const now = createAgeClock(
    () => wallMs,
    () => monotonicMs,
  );
  expect(now()).toBe(1_000_000);
  monotonicMs += 10;
  wallMs += 10;
  expect(now()).toBe(1_000_010);
  // Set back.
  monotonicMs += 10;
  wallMs -= HOUR_MS;
  expect(now()).toBe(1_000_020);
  // The machine slept, and its monotonic clock with it.
  monotonicMs += 10;
  wallMs += HOUR_MS;
  expect(now()).toBe(1_000_020 + HOUR_MS);
});

it('ages go no faster for being asked often, though the two clocks tick differently', () => {
  let us = 0;
  const now = createAgeClock(
    () => Math.floor(us / 1_000),
    () => us / 1_000,
  );
  const startMs = now();
  for (; us <= 10_000_000; us += 130) now();
  expect(now() - startMs).toBeGreaterThan(9_990);
  expect(now() - startMs).toBeLessThan(10_110);
});
