import { describe, expect, it } from 'vitest';
import { parseKeyId } from '../../../src/trust/did/did-url.ts';
import { DOCUMENT_KEYS_MAX } from '../../../src/trust/did/document.ts';
import { CHAIN_ID, codeOf, isKeyOf, keyIdOf, newIdentity, newWorld, REGISTRY, slot } from './world.ts';

const ANY = { safeMethod: true };

describe('a key of an agent', () => {
  it('that is not for authentication does not sign requests', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [
      slot('k1', newIdentity(), { flags: 2 }),
      slot('k2', newIdentity(), { flags: 3 }),
    ]);
    expect(await codeOf(() => world.find(1, 'k1'))).toBe('key_unknown');
    expect(await world.find(1, 'k2')).toMatchObject({ fragment: 'k2' });
    expect(await world.find(1, null)).toMatchObject({ fragment: 'k2' });
  });

  it('ends at its notAfter, in memory too, though no event tells of it', async () => {
    const world = newWorld();
    const notAfter = world.nowMs / 1_000 + 2;
    world.registry.agents.set('1', [slot('k1', newIdentity(), { notAfter })]);
    const found = await world.find(1);
    expect(found.validUntilMs).toBe(notAfter * 1_000);
    expect(world.resolver.admit(found)).toBe(true);
    world.nowMs += 1_999;
    expect(await world.find(1)).toMatchObject({ tier: 'memory' });
    world.nowMs += 1;
    expect(world.resolver.admit(found)).toBe(false);
    expect(await codeOf(() => world.find(1))).toBe('key_expired');
  });

  it('without an end, or with one no calendar reaches, does not expire', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity(), { notAfter: 2 ** 64 })]);
    expect(await world.find(1)).toMatchObject({ validUntilMs: Number.POSITIVE_INFINITY });
  });

  it('of a kind that is not accepted says so', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [
      slot('k1', { ...newIdentity(), multikey: Uint8Array.of(0xe7, 1, 2, 3) }),
    ]);
    expect(await codeOf(() => world.find(1))).toBe('key_unsupported');
  });

  it('counts among the oldest of so many, so that what is added takes none away', async () => {
    const world = newWorld();
    const keys = Array.from({ length: DOCUMENT_KEYS_MAX + 1 }, (_, at) =>
      slot(`k${at}`, newIdentity(), { setAtBlock: at }),
    );
    world.registry.agents.set('1', keys);
    expect(await codeOf(() => world.find(1, `k${DOCUMENT_KEYS_MAX}`))).toBe('key_unknown');
    expect(await world.find(1, 'k0')).toMatchObject({ fragment: 'k0' });
  });
});

describe('a bare DID', () => {
  it('means the one key that fits, from memory as well', async () => {
    const world = newWorld();
    const alice = newIdentity();
    world.registry.agents.set('1', [slot('old', newIdentity(), { notAfter: 1 }), slot('new', alice)]);
    expect(isKeyOf(await world.find(1, null), alice)).toBe(true);
    world.registry.agents.set('2', [slot('only', alice)]);
    world.resolver.admit(await world.find(2, null));
    const held = world.resolver.find(keyIdOf(2, null), ANY);
    expect(held).toMatchObject({ keyId: keyIdOf(2, 'only').text, fragment: 'only' });
  });

  it('means none when several fit, also while memory holds just one of them', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity()), slot('k2', newIdentity())]);
    world.resolver.admit(await world.find(1, 'k1'));
    expect(await codeOf(() => world.find(1, null))).toBe('key_ambiguous');
  });
});

it('an agent of a chain or registry that is not configured is nobody here, and nothing is asked', async () => {
  const world = newWorld();
  const other = `did:sage:eip155:${CHAIN_ID}:${REGISTRY.replace('5', '6')}:1`;
  for (const did of [other, `did:sage:eip155:1:${REGISTRY}:1`]) {
    expect(await codeOf(() => world.resolver.find(parseKeyId(`${did}#k1`), ANY))).toBe(
      'did_method_unsupported',
    );
  }
  expect(world.registry.reads).toBe(0);
});
