import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { encodeDidKey } from '../../../src/trust/did/did-key.ts';
import { parseKeyId } from '../../../src/trust/did/did-url.ts';
import { newIdentity, newWorld, slot } from './world.ts';

it('a stranger who mints did:keys, and signs with each, pushes out no chain key', async () => {
  const world = newWorld({ bounds: { chainEntries: 10, offlineEntries: 10 } });
  for (let agent = 0; agent < 10; agent += 1) {
    world.registry.agents.set(`${agent}`, [slot('k1', newIdentity())]);
    world.resolver.admit(await world.find(agent));
  }
  for (let minted = 0; minted < 200; minted += 1) {
    const { privateKey } = generateKeyPairSync('ed25519');
    const keyId = parseKeyId(encodeDidKey(createPublicKey(privateKey)));
    for (let call = 0; call < 3; call += 1) {
      const found = world.resolver.find(keyId, { safeMethod: false });
      if (found instanceof Promise) throw new Error('must be at hand');
      expect(world.resolver.admit(found)).toBe(true);
    }
  }
  expect(world.resolver.stats()).toMatchObject({ chainKeys: 10, offlineKeys: 10 });
  for (let agent = 0; agent < 10; agent += 1)
    expect(await world.find(agent)).toMatchObject({ tier: 'memory' });
});
