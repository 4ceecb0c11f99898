import { describe, expect, it } from 'vitest';
import type { StillValid } from '../../../src/trust/did/revocations.ts';
import { didOf, keyIdOf, newIdentity, newWorld, settled, slot, type World } from './world.ts';

function nextPurge(world: World): Promise<[string | null, StillValid]> {
  return new Promise((resolve) => {
    world.resolver.onRevoked((did, stillValid) => resolve([did, stillValid]));
  });
}

describe('when the keys of a caller with open streams change', () => {
  it('the listener is told before chainChanged returns, and can ask which keys still stand', async () => {
    const world = newWorld();
    const [kept, revoked] = [newIdentity(), newIdentity()];
    world.registry.agents.set('1', [
      slot('kept', kept),
      slot('revoked', revoked),
      slot('changed', newIdentity()),
    ]);
    const thumbprints = new Map<string, string>();
    for (const fragment of ['kept', 'revoked', 'changed']) {
      const found = await world.find(1, fragment);
      thumbprints.set(fragment, found.key.thumbprint);
    }
    const told: (string | null)[] = [];
    let ask: StillValid = () => Promise.resolve(true);
    world.resolver.onRevoked(() => {
      throw new Error('a listener that fails');
    });
    world.resolver.onRevoked((did, stillValid) => {
      told.push(did);
      ask = stillValid;
    });
    world.change(1, [slot('kept', kept), slot('changed', newIdentity())]);
    expect(told).toEqual([didOf(1)]);
    const stands = (fragment: string) => ask(keyIdOf(1, fragment).text, thumbprints.get(fragment) ?? '');
    expect(await Promise.all([stands('kept'), stands('revoked'), stands('changed')])).toEqual([
      true,
      false,
      false,
    ]);
    expect(world.warnings).toHaveLength(1);
  });

  it('a chain that cannot be asked just then is asked again', async () => {
    const world = newWorld();
    const alice = newIdentity();
    world.registry.agents.set('1', [slot('k1', alice)]);
    const { key } = await world.find(1);
    const purge = nextPurge(world);
    world.registry.unreachable = true;
    world.change(1, [slot('k1', alice), slot('k2', newIdentity())]);
    const [, stillValid] = await purge;
    const asking = stillValid(keyIdOf(1).text, key.thumbprint);
    await settled();
    world.registry.unreachable = false;
    expect(await asking).toBe(true);
    expect(world.registry.reads).toBe(3);
  });

  it('one that goes on being unreachable vouches for nobody', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    const { key } = await world.find(1);
    const purge = nextPurge(world);
    world.registry.unreachable = true;
    world.resolver.purge({ all: true }, 'operator');
    const [did, stillValid] = await purge;
    expect(did).toBe(null);
    expect(await stillValid(keyIdOf(1).text, key.thumbprint)).toBe(false);
  });

  it('ten thousand streams ask without crowding out the chain', async () => {
    const world = newWorld();
    const alice = newIdentity();
    for (let agent = 0; agent < 1_000; agent += 1) world.registry.agents.set(`${agent}`, [slot('k1', alice)]);
    const { key } = await world.find(0);
    const purge = nextPurge(world);
    world.resolver.purge({ all: true }, 'operator');
    const [, stillValid] = await purge;
    let most = 0;
    const asked = Array.from({ length: 10_000 }, async (_, at) => {
      const stands = await stillValid(keyIdOf(at % 1_000).text, key.thumbprint);
      most = Math.max(most, world.resolver.stats().chainReads);
      return stands;
    });
    expect((await Promise.all(asked)).every(Boolean)).toBe(true);
    expect(most).toBeLessThanOrEqual(16);
  });
});
