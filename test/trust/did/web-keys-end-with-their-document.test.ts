import { expect, it } from 'vitest';
import type { ResolvedKey } from '../../../src/trust/did/resolver.ts';
import { documentOf, newWebWorld, type WebWorld } from './web-world.ts';
import { codeOf, newIdentity } from './world.ts';

const TTL_MS = 60_000;

/** Finds, and lets the key into memory as after a signature that verified. */
async function proven(world: WebWorld, keyid: string): Promise<ResolvedKey> {
  const found = await world.find(keyid);
  expect(world.resolver.admit(found)).toBe(true);
  return found;
}

async function answered(world: WebWorld, count: number): Promise<void> {
  while (world.asked.length < count || world.resolver.stats().webFlights > 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

it('a key is used for its minute, and its host is asked again then', async () => {
  await using world = await newWebWorld();
  world.publish('', documentOf(world.did(), { k: newIdentity() }));
  await proven(world, `${world.did()}#k`);
  world.nowMs += 30_000;
  expect(await proven(world, `${world.did()}#k`)).toMatchObject({ tier: 'memory' });
  expect(world.asked.length).toBe(1);
  world.nowMs += 30_000;
  expect(await proven(world, `${world.did()}#k`)).toMatchObject({ tier: 'web' });
  expect(world.asked.length).toBe(2);
});

it('a removed key is refused at the latest a minute after it was read', async () => {
  await using world = await newWebWorld();
  const stays = newIdentity();
  world.publish('', documentOf(world.did(), { gone: newIdentity(), stays }));
  await proven(world, `${world.did()}#gone`);
  await proven(world, `${world.did()}#stays`);
  world.publish('', documentOf(world.did(), { stays }));
  const told = new Promise((resolve) => world.resolver.onRevoked(resolve));
  world.nowMs += TTL_MS;
  expect(await codeOf(() => world.find(`${world.did()}#gone`))).toBe('key_unknown');
  expect(await told).toBe(world.did());
  await proven(world, `${world.did()}#stays`);
});

it('a key that was replaced under its name does not outlive its document, nor does what it has under way', async () => {
  await using world = await newWebWorld();
  world.publish('', documentOf(world.did(), { k: newIdentity() }));
  const old = await proven(world, `${world.did()}#k`);
  world.publish('', documentOf(world.did(), { k: newIdentity() }));
  world.nowMs += TTL_MS;
  const next = await proven(world, `${world.did()}#k`);
  expect(next.key.thumbprint).not.toBe(old.key.thumbprint);
  expect(world.resolver.admit(old)).toBe(false);
  expect(world.resolver.stands(old)).toBe(false);
});

it('the host is asked ahead of time, by entity tag, while the held key goes on answering', async () => {
  await using world = await newWebWorld();
  world.publish('', documentOf(world.did(), { k: newIdentity() }), { etag: '"1"' });
  await proven(world, `${world.did()}#k`);
  world.nowMs += 45_000;
  expect(await proven(world, `${world.did()}#k`)).toMatchObject({ tier: 'memory' });
  await answered(world, 2);
  expect(world.asked).toEqual(['/.well-known/did.json', '/.well-known/did.json "1"']);
  // The time begins anew with the answer.
  world.nowMs += 30_000;
  expect(await proven(world, `${world.did()}#k`)).toMatchObject({ tier: 'memory' });
  expect(world.asked.length).toBe(2);
});

it('a revocation that is seen ahead of time ends the key at once', async () => {
  await using world = await newWebWorld();
  world.publish('', documentOf(world.did(), { k: newIdentity() }));
  const held = await proven(world, `${world.did()}#k`);
  world.publish('', documentOf(world.did(), {}));
  world.nowMs += 45_000;
  const told = new Promise((resolve) => world.resolver.onRevoked(resolve));
  await world.find(`${world.did()}#k`);
  expect(await told).toBe(world.did());
  expect(world.resolver.stands(held)).toBe(false);
  expect(await codeOf(() => world.find(`${world.did()}#k`))).toBe('key_unknown');
});

it('a host that is away evicts nothing, and after the minute nothing is used', async () => {
  await using world = await newWebWorld();
  world.publish('', documentOf(world.did(), { k: newIdentity() }));
  await proven(world, `${world.did()}#k`);
  world.answer = (_request, response) => void response.writeHead(503).end();
  world.nowMs += 59_999;
  expect(await proven(world, `${world.did()}#k`)).toMatchObject({ tier: 'memory' });
  await answered(world, 2);
  expect(await proven(world, `${world.did()}#k`)).toMatchObject({ tier: 'memory' });
  world.nowMs += 1;
  expect(await codeOf(() => world.find(`${world.did()}#k`))).toBe('did_unresolvable');
  world.answer = null;
  world.nowMs += 1_000;
  expect(await proven(world, `${world.did()}#k`)).toMatchObject({ tier: 'web' });
});

it('a host shortens the time, not below five seconds, and never lengthens it', async () => {
  await using world = await newWebWorld();
  const keys = { k: newIdentity() };
  const lasts = async (path: string, cacheControl: string): Promise<number> => {
    world.publish(path, documentOf(world.did(path), keys), { 'cache-control': cacheControl });
    const { freshUntilMs } = await world.find(`${world.did(path)}#k`);
    return freshUntilMs - world.nowMs;
  };
  expect(await lasts('a', 'max-age=20')).toBe(20_000);
  expect(await lasts('b', 'no-store')).toBe(5_000);
  expect(await lasts('c', 'max-age=0')).toBe(5_000);
  expect(await lasts('d', 'max-age=86400, immutable')).toBe(TTL_MS);
});

it('a key ends with its own validity, if that is sooner', async () => {
  await using world = await newWebWorld();
  const expires = new Date(world.nowMs + 10_000).toISOString();
  const document = documentOf(world.did(), { k: newIdentity() }) as { verificationMethod: object[] };
  const [method] = document.verificationMethod;
  world.publish('', { ...document, verificationMethod: [{ ...method, expires }] });
  await proven(world, `${world.did()}#k`);
  world.nowMs += 10_000;
  expect(await codeOf(() => world.find(`${world.did()}#k`))).toBe('key_expired');
});

it('absence is believed for ten seconds, and ends a key at once', async () => {
  await using world = await newWebWorld();
  expect(await codeOf(() => world.find(`${world.did()}#k`))).toBe('did_unknown');
  world.publish('', documentOf(world.did(), { k: newIdentity() }));
  world.nowMs += 9_999;
  expect(await codeOf(() => world.find(`${world.did()}#k`))).toBe('did_unknown');
  world.nowMs += 1;
  const held = await proven(world, `${world.did()}#k`);
  world.files.clear();
  world.nowMs += TTL_MS;
  expect(await codeOf(() => world.find(`${world.did()}#k`))).toBe('did_unknown');
  expect(world.resolver.stands(held)).toBe(false);
});

it('a new key is found within ten seconds, though the document is held', async () => {
  await using world = await newWebWorld();
  const one = newIdentity();
  world.publish('', documentOf(world.did(), { one }));
  await proven(world, `${world.did()}#one`);
  world.publish('', documentOf(world.did(), { one, two: newIdentity() }));
  world.nowMs += 9_999;
  expect(await codeOf(() => world.find(`${world.did()}#two`))).toBe('key_unknown');
  world.nowMs += 1;
  await proven(world, `${world.did()}#two`);
});

it('what was fetched before a purge counts for nothing: it is read again, and not only confirmed', async () => {
  await using world = await newWebWorld();
  world.publish('', documentOf(world.did(), { k: newIdentity() }), { etag: '"1"' });
  await proven(world, `${world.did()}#k`);
  world.nowMs += TTL_MS;
  world.answer = (_request, response) => {
    world.answer = null;
    world.publish('', documentOf(world.did(), {}), { etag: '"1"' });
    world.resolver.purge({ did: world.did() }, 'operator');
    response.writeHead(304).end();
  };
  expect(await codeOf(() => world.find(`${world.did()}#k`))).toBe('key_unknown');
  expect(world.asked.slice(1)).toEqual(['/.well-known/did.json "1"', '/.well-known/did.json']);
});

it('a denied DID costs no fetch', async () => {
  await using world = await newWebWorld();
  world.denied.replace([{ did: world.did(), keyId: null, expiresAtMs: null }]);
  expect(await codeOf(() => world.find(`${world.did()}#k`))).toBe('did_denied');
  expect(world.asked).toEqual([]);
});

it('what has not verified is not let into memory, and cannot push out what has', async () => {
  await using world = await newWebWorld({ recentEntries: 4, webEntries: 4 });
  const keys = { k: newIdentity() };
  world.publish('known', documentOf(world.did('known'), keys));
  await proven(world, `${world.did('known')}#k`);
  for (let at = 0; at < 20; at += 1) {
    world.publish(`s${at}`, documentOf(world.did(`s${at}`), keys));
    await world.find(`${world.did(`s${at}`)}#k`);
  }
  expect(world.resolver.stats().webKeys).toBe(1);
  const asked = world.asked.length;
  expect(await world.find(`${world.did('known')}#k`)).toMatchObject({ tier: 'memory' });
  // The document is still there as well: its other names are answered without a fetch.
  expect(await world.find(world.did('known'))).toMatchObject({ tier: 'memory' });
  expect(world.asked.length).toBe(asked);
});
