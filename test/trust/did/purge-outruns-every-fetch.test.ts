import { describe, expect, it } from 'vitest';
import type { SharedKeyCache } from '../../../src/store/redis/key-cache.ts';
import { sharedKey } from '../../../src/trust/did/chain-documents.ts';
import { CHAIN_ID, codeOf, didOf, isKeyOf, keyIdOf, newIdentity, newWorld, settled, slot } from './world.ts';

describe('a fetch begun before a purge', () => {
  it('is done again, so that what it brings is newer than the purge', async () => {
    const world = newWorld();
    const [before, after] = [newIdentity(), newIdentity()];
    world.registry.agents.set('1', [slot('k1', before)]);
    const release = world.registry.hold();
    const find = world.find(1);
    await settled();
    world.change(1, [slot('k1', after)]);
    release();
    const found = await find;
    expect(isKeyOf(found, after)).toBe(true);
    expect(world.registry.reads).toBe(2);
    expect(world.resolver.admit(found)).toBe(true);
  });

  it('ends in a refusal when the purge was a revocation', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    const release = world.registry.hold();
    const find = codeOf(() => world.find(1));
    await settled();
    world.change(1, []);
    release();
    expect(await find).toBe('key_unknown');
  });

  it('is not written back to the shared tier', async () => {
    const stored = new Map<string, string>();
    const world = newWorld({ shared: slowMap(stored) });
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    await world.find(1);
    // The value is on its way: the purge removes nothing, and the write removes itself.
    world.change(1, []);
    await settled();
    await settled();
    expect(stored.has(sharedKey(didOf(1)))).toBe(false);
  });
});

it('a value on its way from the shared tier during a purge is not what is answered', async () => {
  const stored = new Map<string, string>();
  const [one, two] = [newWorld({ shared: slowMap(stored) }), newWorld({ shared: slowMap(stored) })];
  one.registry.agents.set('1', [slot('k1', newIdentity())]);
  await one.find(1);
  await settled();
  await settled();
  const shared = stored.get(sharedKey(didOf(1))) ?? '';
  const find = two.find(1);
  const after = newIdentity();
  two.change(1, [slot('k1', after)]);
  // Put back, as by a node that has not heard of the change.
  stored.set(sharedKey(didOf(1)), shared);
  const found = await find;
  expect(isKeyOf(found, after)).toBe(true);
  expect(two.resolver.admit(found)).toBe(true);
});

describe('a key found before a purge', () => {
  it('is not admitted, not even once, from any tier', async () => {
    const world = newWorld();
    const alice = newIdentity();
    world.registry.agents.set('1', [slot('k1', alice), slot('k2', newIdentity())]);
    const fromChain = await world.find(1);
    const fromRecent = await world.find(1);
    expect(world.resolver.admit(fromChain)).toBe(true);
    const fromMemory = await world.find(1);
    expect([fromChain.tier, fromRecent.tier, fromMemory.tier]).toEqual(['chain', 'memory', 'memory']);
    world.change(1, [slot('k2', newIdentity())]);
    for (const key of [fromChain, fromRecent, fromMemory]) {
      expect(world.resolver.stands(key)).toBe(false);
      expect(world.resolver.admit(key)).toBe(false);
    }
    expect(await codeOf(() => world.find(1))).toBe('key_unknown');
  });

  it('is admitted when it was another agent that changed', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    const found = await world.find(1);
    world.change(2, [slot('k1', newIdentity())]);
    expect(world.resolver.admit(found)).toBe(true);
    world.change(3, [slot('k1', newIdentity())]);
    expect(world.resolver.find(keyIdOf(1), { safeMethod: false })).not.toBeInstanceOf(Promise);
  });

  it('is not admitted after a purge of everything, nor after more purges than are remembered', async () => {
    const world = newWorld({ bounds: { withdrawals: 4 } });
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    const flushed = await world.find(1);
    world.resolver.purge({ all: true }, 'operator');
    expect(world.resolver.admit(flushed)).toBe(false);
    const forgotten = await world.find(1);
    world.change(1, [slot('k1', newIdentity())]);
    for (let other = 10; other < 20; other += 1) world.change(other, []);
    expect(world.resolver.admit(forgotten)).toBe(false);
  });

  it('is served again from memory after so many purges of others that its own epoch was forgotten', async () => {
    const world = newWorld({ bounds: { withdrawals: 4 } });
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    world.resolver.admit(await world.find(1));
    for (let other = 10; other < 20; other += 1) world.change(other, []);
    const found = world.resolver.find(keyIdOf(1), { safeMethod: false });
    if (found instanceof Promise) throw new Error('must be at hand');
    expect(world.resolver.admit(found)).toBe(true);
  });
});

it('an RPC node behind the one that told of a revocation does not give the key back', async () => {
  const world = newWorld();
  const keys = [slot('k1', newIdentity())];
  world.registry.agents.set('1', keys);
  world.change(1, []);
  world.registry.agents.set('1', keys);
  world.registry.blockNumber -= 1;
  expect(await codeOf(() => world.find(1))).toBe('did_unresolvable');
  world.registry.agents.set('1', []);
  world.registry.blockNumber += 1;
  expect(await codeOf(() => world.find(1))).toBe('key_unknown');
});

it('nor does one behind a block in which anybody may have changed, until the chain begins anew', async () => {
  const world = newWorld();
  world.registry.agents.set('1', [slot('k1', newIdentity())]);
  world.resolver.chainChanged({ chainId: CHAIN_ID, kind: 'reset', blockNumber: 101 });
  expect(await codeOf(() => world.find(1))).toBe('did_unresolvable');
  world.registry.blockNumber = 101;
  world.registry.agents.set('1', []);
  expect(await codeOf(() => world.find(1))).toBe('key_unknown');
  world.registry.blockNumber = 5;
  world.resolver.chainChanged({ chainId: CHAIN_ID, kind: 'reset', blockNumber: 5 });
  expect(await codeOf(() => world.find(1))).toBe('key_unknown');
});

/** The least a shared tier can be, whose writes take a turn of the event loop. */
function slowMap(stored: Map<string, string>): SharedKeyCache {
  return {
    async get(key) {
      const value = stored.get(key) ?? null;
      await settled();
      return value;
    },
    async set(key, value) {
      await settled();
      stored.set(key, value);
    },
    async delete(keys) {
      for (const key of keys) stored.delete(key);
    },
    publishPurge: () => Promise.resolve(),
    onPurge: () => undefined,
    onDisconnect: () => undefined,
    onReconnect: () => undefined,
  };
}
