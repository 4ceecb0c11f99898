import { describe, expect, it } from 'vitest';
import { codeOf, didOf, newIdentity, newWorld, slot } from './world.ts';

describe('"no such agent"', () => {
  it('is remembered for some seconds, then asked again', async () => {
    const world = newWorld({ bounds: { recentTtlMs: 10_000 } });
    for (let round = 0; round < 5; round += 1) expect(await codeOf(() => world.find(1))).toBe('did_unknown');
    expect(world.registry.reads).toBe(1);
    world.nowMs += 10_000;
    world.resolver.setStaleness(31337, { lagMs: 0, connected: true });
    expect(await codeOf(() => world.find(1))).toBe('did_unknown');
    expect(world.registry.reads).toBe(2);
  });

  it('is forgotten at once when the agent registers', async () => {
    const world = newWorld();
    expect(await codeOf(() => world.find(1))).toBe('did_unknown');
    world.change(1, [slot('k1', newIdentity())]);
    expect(await world.find(1)).toMatchObject({ tier: 'chain' });
  });

  it('costs one read for a known agent, however many fragments are made up', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    for (let made = 0; made < 100; made += 1) {
      expect(await codeOf(() => world.find(1, `made-up-${made}`))).toBe('key_unknown');
    }
    expect(await world.find(1, 'k1')).toMatchObject({ fragment: 'k1' });
    expect(world.registry.reads).toBe(1);
  });

  it('is kept for at most so many agents', async () => {
    const world = newWorld({ bounds: { recentEntries: 50 } });
    for (let agent = 0; agent < 500; agent += 1) await codeOf(() => world.find(agent));
    expect(world.resolver.stats().recentAnswers).toBe(50);
  });

  it('must be kept for 5 to 30 seconds', () => {
    expect(() => newWorld({ bounds: { recentTtlMs: 4_999 } })).toThrow(RangeError);
    expect(() => newWorld({ bounds: { recentTtlMs: 30_001 } })).toThrow(RangeError);
    expect(() => newWorld({ bounds: { recentTtlMs: Number.NaN } })).toThrow(RangeError);
  });
});

describe('an unreachable chain', () => {
  it('is never taken for "no such agent", and is asked again by the next request', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    world.registry.unreachable = true;
    expect(await codeOf(() => world.find(1))).toBe('did_unresolvable');
    world.registry.unreachable = false;
    expect(await world.find(1)).toMatchObject({ tier: 'chain' });
  });

  it('does not push out a key in memory', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    world.resolver.admit(await world.find(1));
    world.registry.unreachable = true;
    world.nowMs += 4_000;
    expect(await codeOf(() => world.find(1, 'other'))).toBe('key_unknown');
    world.nowMs += 30_000;
    world.resolver.setStaleness(31337, { lagMs: 0, connected: true });
    expect(await codeOf(() => world.find(1, 'other'))).toBe('did_unresolvable');
    expect(await world.find(1)).toMatchObject({ tier: 'memory' });
  });
});

it('a fresh document without the key does push it out, also when no event told of it', async () => {
  const world = newWorld();
  world.registry.agents.set('1', [slot('k1', newIdentity()), slot('k2', newIdentity())]);
  world.resolver.admit(await world.find(1, 'k1'));
  world.registry.agents.set('1', [slot('k2', newIdentity())]);
  world.nowMs += 30_000;
  world.resolver.setStaleness(31337, { lagMs: 0, connected: true });
  const held = await world.find(1, 'k1');
  expect(held.tier).toBe('memory');
  const told = new Promise((resolve) => world.resolver.onRevoked(resolve));
  const [fresh, joined] = await Promise.all([world.find(1, 'k2'), world.find(1, 'k2')]);
  expect(await told).toBe(didOf(1));
  expect([held, fresh, joined].map((key) => world.resolver.admit(key))).toEqual([false, true, true]);
  expect(await codeOf(() => world.find(1, 'k1'))).toBe('key_unknown');
});
