import { expect, it } from 'vitest';
import type { ResolverBounds } from '../../../src/trust/did/resolver.ts';
import { until } from '../../support/gateway.ts';
import {
  CHAIN_ID,
  codeOf,
  didOf,
  isKeyOf,
  keyIdOf,
  newIdentity,
  newWorld,
  settled,
  slot,
  type World,
} from './world.ts';

const TTL_MS = 300_000;
const OFTEN = 8;

function start(bounds: Partial<ResolverBounds> = {}): World {
  const world = newWorld({ bounds });
  for (let agentId = 1; agentId <= 3; agentId += 1)
    world.registry.agents.set(`${agentId}`, [slot('k1', newIdentity())]);
  return world;
}

/** Time passes, and the watcher says that it still sees the chain. */
function pass(world: World, ms: number): void {
  world.nowMs += ms;
  world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
}

/** A request that is proven. */
async function call(world: World, agentId: number): Promise<void> {
  expect(world.resolver.admit(await world.find(agentId))).toBe(true);
}
async function callOften(world: World, agentId: number): Promise<void> {
  for (let calls = 0; calls < OFTEN; calls += 1) await call(world, agentId);
}

/** What is known at once, without waiting for anybody. */
const atOnce = (world: World, agentId: number, fragment = 'k1') => {
  const found = world.resolver.find(keyIdOf(agentId, fragment), { safeMethod: false });
  if (found instanceof Promise) throw new Error('its caller waits');
  return found;
};

it('a key is read again shortly before its time is up, for who calls often alone', async () => {
  const world = start();
  await callOften(world, 1);
  await call(world, 2);
  expect(world.registry.reads).toBe(2);
  pass(world, 0.7 * TTL_MS);
  await call(world, 1);
  await settled();
  expect(world.registry.reads).toBe(2);
  pass(world, 0.15 * TTL_MS);
  await call(world, 1);
  await call(world, 2);
  await settled();
  expect(world.registry.reads).toBe(3);
  pass(world, 0.2 * TTL_MS);
  expect(atOnce(world, 1)).toMatchObject({ tier: 'memory', freshUntilMs: world.nowMs + 0.8 * TTL_MS });
  expect(await world.find(2)).toMatchObject({ tier: 'chain' });
  world.resolver.close();
});

it('a claim that is not proven has nothing read', async () => {
  const world = start();
  await callOften(world, 1);
  pass(world, 0.9 * TTL_MS);
  for (let claims = 0; claims < 100; claims += 1) await world.find(1);
  await settled();
  expect(world.registry.reads).toBe(1);
});

it('after a change on chain the new key is there before anybody asks, and the old one is not', async () => {
  const world = start();
  await callOften(world, 1);
  const [before, after] = [world.registry.agents.get('1'), newIdentity()];
  world.change(1, [slot('k2', after)]);
  await settled();
  expect(isKeyOf(atOnce(world, 1, 'k2'), after)).toBe(true);
  expect(await codeOf(() => atOnce(world, 1))).toBe('key_unknown');
  // What nobody called often is not asked for.
  world.change(2, before ?? []);
  await settled();
  expect(world.registry.reads).toBe(2);
  // Long after the few seconds of recent answers.
  pass(world, TTL_MS / 2);
  expect(isKeyOf(atOnce(world, 1, 'k2'), after)).toBe(true);
  expect(world.resolver.stats().chainKeys).toBe(0);
  world.resolver.close();
});

it('a reading that began before a change gives nothing back', async () => {
  const world = start();
  await callOften(world, 1);
  pass(world, 0.9 * TTL_MS);
  const release = world.registry.hold();
  await call(world, 1);
  expect(world.registry.reads).toBe(2);
  world.change(1, []);
  release();
  await settled();
  expect(await codeOf(() => world.find(1))).toBe('key_unknown');
  world.resolver.close();
});

it('nor does one that is delivered at the very moment of the change, whichever step it is at', async () => {
  for (let steps = 0; steps < 30; steps += 1) {
    const world = start();
    const release = world.registry.hold();
    world.resolver.warm(CHAIN_ID, [didOf(1)]);
    await settled();
    release();
    for (let step = 0; step < steps; step += 1) await Promise.resolve();
    world.change(1, []);
    await settled();
    expect(await codeOf(() => world.find(1)), `after ${steps} steps`).toBe('key_unknown');
    world.resolver.close();
  }
});

it('a key that no event took away, and that the fresh document lacks, ends at once', async () => {
  const world = start();
  await callOften(world, 1);
  const found = await world.find(1);
  world.registry.agents.set('1', []);
  pass(world, 0.9 * TTL_MS);
  await call(world, 1);
  await settled();
  expect(world.resolver.admit(found)).toBe(false);
  expect(await codeOf(() => world.find(1))).toBe('key_unknown');
});

it('nothing is read ahead, nor kept, while the watcher does not see the chain', async () => {
  const world = start();
  await callOften(world, 1);
  pass(world, 0.9 * TTL_MS);
  world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: false });
  await call(world, 1);
  world.resolver.warm(CHAIN_ID, [didOf(3)]);
  await settled();
  expect(world.registry.reads).toBe(1);
  world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
  const release = world.registry.hold();
  world.resolver.warm(CHAIN_ID, [didOf(3)]);
  await settled();
  expect(world.registry.reads).toBe(2);
  world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: false });
  release();
  await settled();
  expect(world.resolver.stats().recentAnswers).toBe(1);
});

it('few are read at once, and none while callers need the chain', async () => {
  const world = start();
  for (let agentId = 10; agentId < 200; agentId += 1)
    world.registry.agents.set(`${agentId}`, [slot('k1', newIdentity())]);
  const dids = Array.from({ length: 2_000 }, (_did, n) => didOf(10 + n));
  let release = world.registry.hold();
  const waiting = Array.from({ length: 16 }, (_call, n) => world.find(100 + n));
  world.resolver.warm(CHAIN_ID, [didOf(10)]);
  await settled();
  expect(world.registry.reads).toBe(16);
  release();
  await Promise.all(waiting);
  await until(() => world.registry.reads === 17, 'it is its turn');
  release = world.registry.hold();
  const before = world.registry.reads;
  world.resolver.warm(CHAIN_ID, dids);
  await until(() => world.registry.reads === before + 4, 'four begin');
  await settled();
  expect(world.registry.reads).toBe(before + 4);
  const startedAt = performance.now();
  release();
  await until(() => world.registry.reads >= before + 40, 'they go on');
  // 50 a second, after the 16 that may come at once.
  expect(performance.now() - startedAt).toBeGreaterThan(350);
  world.resolver.close();
  const closedAt = world.registry.reads;
  await settled();
  expect(world.registry.reads).toBe(closedAt);
});

it('who called often before a restart is known, and in memory only once proven', async () => {
  const before = start();
  await callOften(before, 2);
  await call(before, 1);
  const dids = before.resolver.mostFrequent(10);
  expect(dids).toEqual([didOf(2), didOf(1)]);
  expect(before.resolver.mostFrequent(1)).toEqual([didOf(2)]);

  const after = newWorld({ registry: before.registry });
  const reads = after.registry.reads;
  const foreign = [`did:sage:eip155:1:0x${'a'.repeat(40)}:1`, 'did:web:a.example', 'nonsense', ''];
  after.resolver.warm(CHAIN_ID, [...foreign, ...dids]);
  after.resolver.warm(1, dids);
  await settled();
  expect(after.registry.reads).toBe(reads + 2);
  expect(after.resolver.stats().chainKeys).toBe(0);
  pass(after, TTL_MS / 2);
  const found = atOnce(after, 2);
  expect(found).toMatchObject({ tier: 'memory' });
  expect(after.resolver.admit(found)).toBe(true);
  expect(after.resolver.stats().chainKeys).toBe(1);
  // What was read ahead ends with its time, and says "no such key" no longer than any other answer.
  expect(await codeOf(() => after.find(1, 'k9'))).toBe('key_unknown');
  expect(after.registry.reads).toBe(reads + 3);
  pass(after, TTL_MS);
  expect(await after.find(1)).toMatchObject({ tier: 'chain' });
});

it('when all is forgotten at once, who calls often is read again', async () => {
  const world = start();
  await callOften(world, 1);
  await call(world, 2);
  world.resolver.purge({ all: true }, 'shared_cache_lost');
  await settled();
  expect(world.registry.reads).toBe(3);
  expect(atOnce(world, 1)).toMatchObject({ tier: 'memory' });
  world.resolver.close();
});
