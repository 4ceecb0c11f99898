import { describe, expect, it } from 'vitest';
import { CHAIN_ID, codeOf, didOf, keyIdOf, newIdentity, newWorld, slot, type World } from './world.ts';

async function worldWithKeyInMemory(watched = true): Promise<World> {
  const world = newWorld({ watched });
  world.registry.agents.set('1', [slot('k1', newIdentity())]);
  world.resolver.admit(await world.find(1));
  return world;
}

describe('while the watcher lags', () => {
  it('within the bound everything is served from memory', async () => {
    const world = await worldWithKeyInMemory();
    world.resolver.setStaleness(CHAIN_ID, { lagMs: 5_000, connected: false });
    expect(await world.find(1)).toMatchObject({ tier: 'memory' });
    expect(world.resolver.stats().sight).toEqual({ [CHAIN_ID]: 'degraded' });
  });

  it('past it an unsafe method is refused, a safe one served, to a bound of its own', async () => {
    const world = await worldWithKeyInMemory();
    world.resolver.setStaleness(CHAIN_ID, { lagMs: 5_001, connected: true });
    expect(await codeOf(() => world.find(1, 'k1', false))).toBe('did_stale');
    expect(await world.find(1, 'k1', true)).toMatchObject({ tier: 'memory' });
    world.resolver.setStaleness(CHAIN_ID, { lagMs: 60_001, connected: true });
    expect(await codeOf(() => world.find(1, 'k1', true))).toBe('did_stale');
  });

  it('silence is lag', async () => {
    const world = await worldWithKeyInMemory();
    world.nowMs += 5_001;
    expect(await codeOf(() => world.find(1))).toBe('did_stale');
    world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
    expect(await world.find(1)).toMatchObject({ tier: 'memory' });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('a lag of %d is no sight at all', async (lagMs) => {
    const world = await worldWithKeyInMemory();
    world.resolver.setStaleness(CHAIN_ID, { lagMs, connected: true });
    expect(await codeOf(() => world.find(1, 'k1', true))).toBe('did_stale');
  });

  it('what is read is kept for a shorter time', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    expect((await world.find(1)).freshUntilMs).toBe(world.nowMs + 300_000);
    world.resolver.purge({ all: true }, 'operator');
    world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: false });
    expect((await world.find(1)).freshUntilMs).toBe(world.nowMs + 30_000);
  });
});

it('what is open is closed once nobody sees the chain, and not before', async () => {
  const world = await worldWithKeyInMemory();
  const { key } = await world.find(1);
  const answers: Promise<boolean>[] = [];
  world.resolver.onRevoked((_did, stillValid) => answers.push(stillValid(keyIdOf(1).text, key.thumbprint)));
  world.resolver.setStaleness(CHAIN_ID, { lagMs: 59_000, connected: false });
  await world.resolver.recheck(didOf(1));
  expect(answers).toEqual([]);
  world.resolver.setStaleness(CHAIN_ID, { lagMs: 60_001, connected: false });
  await world.resolver.recheck(didOf(1));
  expect(await Promise.all(answers)).toEqual([false]);
});

it('without any watcher unsafe methods are served only within the bound after the start', async () => {
  const world = await worldWithKeyInMemory(false);
  expect(await world.find(1)).toMatchObject({ tier: 'memory' });
  world.nowMs += 5_001;
  expect(await codeOf(() => world.find(1))).toBe('did_stale');
});

it('a request that waited for the chain until sight was lost is refused', async () => {
  const world = newWorld();
  world.registry.agents.set('1', [slot('k1', newIdentity())]);
  const release = world.registry.hold();
  const find = codeOf(() => world.find(1));
  world.nowMs += 5_001;
  release();
  expect(await find).toBe('did_stale');
});

it('did:key knows no staleness', async () => {
  const world = newWorld();
  world.nowMs += 3_600_000;
  const { parseKeyId } = await import('../../../src/trust/did/did-url.ts');
  const ed = parseKeyId('did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp');
  expect(await world.resolver.find(ed, { safeMethod: false })).toMatchObject({ tier: 'offline' });
});
