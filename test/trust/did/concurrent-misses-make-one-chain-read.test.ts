import { describe, expect, it } from 'vitest';
import { CHAIN_READS_MAX } from '../../../src/trust/did/chain-documents.ts';
import { codeOf, isKeyOf, keyIdOf, newIdentity, newWorld, settled, slot } from './world.ts';

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
    const release = world.registry.hold();
    const first = Array.from({ length: CHAIN_READS_MAX }, (_, at) => codeOf(() => world.find(at)));
    await settled();
    expect(await codeOf(() => world.find(9_999))).toBe('did_unresolvable');
    expect(world.registry.reads).toBe(CHAIN_READS_MAX);
    release();
    expect(new Set(await Promise.all(first))).toEqual(new Set(['did_unknown']));
    expect(await codeOf(() => world.find(9_999))).toBe('did_unknown');
  });
});
