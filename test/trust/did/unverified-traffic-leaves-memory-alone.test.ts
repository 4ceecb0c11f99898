import { describe, expect, it } from 'vitest';
import { frequencyHash } from '../../../src/trust/did/frequency.ts';
import { createKeyMemory } from '../../../src/trust/did/key-memory.ts';
import type { ResolvedKey } from '../../../src/trust/did/resolver.ts';
import { CHAIN_ID, didOf, newIdentity, newWorld, slot, type World } from './world.ts';
import { bestStatic, mulberry32, zipf } from './zipf.ts';

// The budget's own size, on the memory alone.
const FULL = { agents: 100_000, entries: 10_000, warmUp: 600_000, requests: 1_000_000 };
// Smaller through the whole resolver, where every find of an attacker imports a key.
const SMALL = { agents: 2_000, entries: 200, warmUp: 3_000, requests: 6_000 };

/** The part of the honest requests that memory answered, with `attack` dishonest ones for each honest. */
async function hitRatio(world: World, attack: number): Promise<number> {
  const next = zipf(SMALL.agents, 1);
  const random = mulberry32(2);
  let hits = 0;
  for (let at = 0; at < SMALL.requests; at += 1) {
    const found = await world.find(next());
    if (found.tier === 'memory' && at >= SMALL.warmUp) hits += 1;
    world.resolver.admit(found);
    world.nowMs += 1;
    if (at % 1_000 === 0) world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
    for (let bad = 0; bad < attack; bad += 1) {
      // Names of real agents, drawn evenly, under signatures that do not verify: found, and never admitted.
      await world.find(Math.floor(random() * SMALL.agents));
    }
  }
  return hits / (SMALL.requests - SMALL.warmUp);
}

function registered(): World {
  // Memory and the answers of the last seconds together: no more entries than the figure allows.
  const recentEntries = SMALL.entries / 10;
  const bounds = { chainEntries: SMALL.entries - recentEntries, recentEntries, chainTtlMs: 86_400_000 };
  const world = newWorld({ bounds });
  const alice = newIdentity();
  for (let agent = 0; agent < SMALL.agents; agent += 1)
    world.registry.agents.set(`${agent}`, [slot('k1', alice)]);
  return world;
}

describe('what memory holds', () => {
  it('is nearly what the best static choice would be', async () => {
    const world = newWorld();
    world.registry.agents.set('0', [slot('k1', newIdentity())]);
    const template = await world.find(0);
    const keys = Array.from({ length: FULL.agents }, (_, at): ResolvedKey => {
      const did = didOf(at);
      return { ...template, did, hash: frequencyHash(did) };
    });
    const memory = createKeyMemory(FULL.entries);
    const next = zipf(FULL.agents, 1);
    let hits = 0;
    for (let at = 0; at < FULL.requests; at += 1) {
      const asked = keys[next()] as ResolvedKey;
      const found = memory.find(asked.did, 'k1', 0);
      if (found !== undefined && at >= FULL.warmUp) hits += 1;
      memory.admit(found ?? asked, 0);
    }
    const ratio = hits / (FULL.requests - FULL.warmUp) / bestStatic(FULL.entries, FULL.agents);
    console.log(`hit ratio over best static, 10,000 of 100,000 DIDs: ${ratio.toFixed(3)}`);
    expect(ratio).toBeGreaterThanOrEqual(0.95);
  });

  it('hardly suffers from nine attackers to each caller', async () => {
    const best = bestStatic(SMALL.entries, SMALL.agents);
    const calm = (await hitRatio(registered(), 0)) / best;
    const attacked = (await hitRatio(registered(), 9)) / best;
    console.log(
      `hit ratio over best static, 200 of 2,000 DIDs: ${calm.toFixed(3)}, under attack ${attacked.toFixed(3)}`,
    );
    expect(attacked).toBeGreaterThanOrEqual(0.9);
    expect(attacked).toBeGreaterThanOrEqual(calm - 0.02);
  });

  it('never holds a key that has not verified', async () => {
    const world = newWorld();
    for (let agent = 0; agent < 200; agent += 1)
      world.registry.agents.set(`${agent}`, [slot('k1', newIdentity())]);
    for (let agent = 0; agent < 200; agent += 1) await world.find(agent);
    expect(world.resolver.stats().chainKeys).toBe(0);
    world.resolver.admit(await world.find(7));
    expect(world.resolver.stats().chainKeys).toBe(1);
  });
});
