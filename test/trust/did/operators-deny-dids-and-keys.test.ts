import { describe, expect, it } from 'vitest';
import type { Denial } from '../../../src/trust/did/deny-list.ts';
import { parseKeyId } from '../../../src/trust/did/did-url.ts';
import { codeOf, didOf, keyIdOf, newIdentity, newWorld, slot, type World } from './world.ts';

const ALICE = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK';
const ALICE_KEY = `${ALICE}#z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK`;

const denial = (did: string, keyId: string | null = null, expiresAtMs: number | null = null): Denial => ({
  did,
  keyId,
  expiresAtMs,
});

/** As `stored-denials.ts` does it. */
function deny(world: World, ...denials: Denial[]): readonly string[] {
  const changed = world.denied.replace(denials);
  for (const did of changed) world.resolver.purge({ did }, 'denied');
  return changed;
}

const find = (world: World, keyId: string) =>
  codeOf(() => world.resolver.find(parseKeyId(keyId), { safeMethod: true }));

describe('a denied DID', () => {
  it('is refused by every name of its keys, did:key included, and costs no read of the chain', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    expect(deny(world, denial(ALICE), denial(didOf(1)))).toEqual([ALICE, didOf(1)]);
    for (const keyId of [ALICE, ALICE_KEY, didOf(1), `${didOf(1)}#k1`, `${didOf(1)}#other`])
      expect([keyId, await find(world, keyId)]).toEqual([keyId, 'did_denied']);
    expect(world.registry.reads).toBe(0);
    expect(await find(world, didOf(2))).toBe('did_unknown');
  });

  it('is found again when lifted, and when it has run out', async () => {
    const world = newWorld();
    deny(world, denial(ALICE, null, world.nowMs + 1_000));
    expect(await find(world, ALICE)).toBe('did_denied');
    world.nowMs += 1_000;
    expect(await find(world, ALICE)).toBe('no error');
    deny(world, denial(ALICE));
    expect(await find(world, ALICE)).toBe('did_denied');
    expect(deny(world)).toEqual([]);
    expect(await find(world, ALICE)).toBe('no error');
  });
});

describe('a denied key', () => {
  it('is refused by its name and as the only key of its DID; another key of the DID goes on', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity()), slot('k2', newIdentity())]);
    world.registry.agents.set('2', [slot('k1', newIdentity())]);
    await world.find(2, null);
    deny(
      world,
      denial(didOf(1), `${didOf(1)}#k1`),
      denial(didOf(2), `${didOf(2)}#k1`),
      denial(ALICE, ALICE_KEY),
    );
    expect(await find(world, `${didOf(1)}#k1`)).toBe('key_denied');
    expect(await find(world, `${didOf(1)}#k2`)).toBe('no error');
    expect(await find(world, didOf(2))).toBe('key_denied');
    expect(await find(world, ALICE)).toBe('key_denied');
  });
});

describe('what was found before the denial', () => {
  it.each([
    ['the DID', denial(didOf(1))],
    ['the key', denial(didOf(1), `${didOf(1)}#k1`)],
  ])('does not pass when %s is denied between look-up and admission, nor after it', async (_what, row) => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    const waiting = await world.find(1);
    const admitted = await world.find(1);
    expect(world.resolver.admit(admitted)).toBe(true);
    // Even before anything is purged.
    world.denied.replace([row]);
    expect(world.resolver.admit(waiting)).toBe(false);
    expect(world.resolver.stands(admitted)).toBe(false);
  });

  it('does not pass when its denial was lifted meanwhile: the purge is remembered', async () => {
    const world = newWorld();
    const waiting = world.resolver.find(parseKeyId(ALICE), { safeMethod: true });
    if (waiting instanceof Promise) throw new TypeError('a did:key is found at once');
    deny(world, denial(ALICE));
    deny(world);
    expect(world.resolver.admit(waiting)).toBe(false);
  });

  it('is told of as revoked, and nobody vouches for it', async () => {
    const world = newWorld();
    world.registry.agents.set('1', [slot('k1', newIdentity()), slot('k2', newIdentity())]);
    const denied = await world.find(1, 'k1');
    const kept = await world.find(1, 'k2');
    const answers: Promise<boolean>[] = [];
    world.resolver.onRevoked((did, stillValid) => {
      expect(did).toBe(didOf(1));
      answers.push(stillValid(keyIdOf(1, 'k1').text, denied.key.thumbprint));
      answers.push(stillValid(keyIdOf(1, 'k2').text, kept.key.thumbprint));
    });
    deny(world, denial(didOf(1), `${didOf(1)}#k1`));
    expect(await Promise.all(answers)).toEqual([false, true]);
  });
});

describe('the list', () => {
  it('says which DIDs changed: those denied anew or for longer after they ran out, each once', () => {
    const { denied, nowMs } = newWorld();
    const key = (n: number) => denial(didOf(1), `${didOf(1)}#k${n}`);
    expect(denied.replace([key(1), key(2)])).toEqual([didOf(1)]);
    expect(denied.replace([key(1), key(2)])).toEqual([]);
    expect(denied.replace([key(1), key(3)])).toEqual([didOf(1)]);
    expect(denied.replace([denial(didOf(2), null, nowMs)])).toEqual([]);
    expect(denied.replace([denial(didOf(2), null, nowMs + 1)])).toEqual([didOf(2)]);
    expect(denied.size).toBe(1);
  });
});
