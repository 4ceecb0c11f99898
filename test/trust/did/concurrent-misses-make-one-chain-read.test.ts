import { describe, expect, it } from 'vitest';
import { CHAIN_READS_KNOWN, CHAIN_READS_MAX } from '../../../src/trust/did/chain-documents.ts';
import { CHAIN_ID, codeOf, didOf, isKeyOf, keyIdOf, newIdentity, newWorld, settled, slot } from './world.ts';

describe('concurrent misses', () => {
  it('of one agent, a thousand of them, make one read of the chain', async () => {
    const world = newWorld();
    const alice = newIdentity();
    world.registry.agents.set('1', [slot('k1', alice), slot('k2', newIdentity())]);
    const release = world.registry.hold();
    const finds = Array.from({ length: 1_000 }, (_, at) => world.find(1, at % 2 === 0 ? 'k1' : 'k2'));
    release();
    const found = await Promise.all(finds);
    expect(world.registry.reads).toBe(1);
    expect(found.every((key, at) => isKeyOf(key, alice) === (at % 2 === 0))).toBe(true);
    expect(world.resolver.stats()).toMatchObject({ flights: 0, chainReads: 0 });
  });

  it('and count as one new caller', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    const release = world.registry.hold();
    let cold = 0;
    const onCold = (): void => {
      cold += 1;
    };
    const finds = Array.from({ length: 1_000 }, async () =>
      world.resolver.find(keyIdOf(1), { safeMethod: false, onCold }),
    );
    release();
    await Promise.all(finds);
    expect(cold).toBe(1);
  });

  it('of more agents than may be read at once fail at once, and none is taken for unknown', async () => {
    const world = newWorld();
    const places = CHAIN_READS_MAX - CHAIN_READS_KNOWN;
    const release = world.registry.hold();
    const first = Array.from({ length: places }, (_, at) => codeOf(() => world.find(at)));
    await settled();
    expect(await codeOf(() => world.find(9_999))).toBe('did_unresolvable');
    expect(world.registry.reads).toBe(places);
    release();
    expect(new Set(await Promise.all(first))).toEqual(new Set(['did_unknown']));
    expect(await codeOf(() => world.find(9_999))).toBe('did_unknown');
  });

  it('of strangers, however many, take no place from whoever has proven himself before', async () => {
    const world = newWorld({ bounds: { chainTtlMs: 60_000 } });
    const alice = newIdentity();
    world.registry.agents.set('1', [slot('k1', alice)]);
    world.resolver.admit(await world.find(1));
    world.nowMs += 60_000;
    world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
    const release = world.registry.hold();
    const strangers = Array.from({ length: CHAIN_READS_MAX }, (_, at) => codeOf(() => world.find(at + 2)));
    await settled();
    const found = world.find(1);
    const byStranger = codeOf(() => world.resolver.describe(didOf(900), false));
    const byOperator = world.resolver.describe(didOf(901), true);
    release();
    expect(await byStranger).toBe('did_unresolvable');
    expect((await byOperator).exists).toBe(false);
    expect(isKeyOf(await found, alice)).toBe(true);
    expect(new Set(await Promise.all(strangers))).toEqual(new Set(['did_unknown', 'did_unresolvable']));
  });
});
