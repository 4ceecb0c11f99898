import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { directoryKeyId } from '../../../src/trust/did/did-url.ts';
import type { ResolvedKey } from '../../../src/trust/did/resolver.ts';
import { thumbprint } from '../../../src/trust/keys/thumbprint.ts';
import { HOST } from '../fetch/hosts.ts';
import { documentOf, newWebWorld, type WebWorld } from './web-world.ts';
import { codeOf, newIdentity } from './world.ts';

const PATH = '/.well-known/http-message-signatures-directory';
const TYPE = 'application/http-message-signatures-directory+json';
const TTL_MS = 60_000;

type Json = Record<string, unknown>;

interface Signer {
  readonly jwk: Json;
  readonly name: string;
  readonly privateKey: KeyObject;
}

function newSigner(curve?: string): Signer {
  const { publicKey, privateKey } =
    curve === undefined ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: curve });
  const jwk = { ...publicKey.export({ format: 'jwk' }) };
  return { jwk, name: thumbprint(jwk), privateKey };
}

/** The key of RFC 9421, appendix B.1.4, which the directory's own draft shows. */
const PUBLISHED = { kty: 'OKP', crv: 'Ed25519', x: 'JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs' };

function publish(world: WebWorld, keys: readonly unknown[], headers: Record<string, string> = {}): void {
  world.files.set(PATH, { body: JSON.stringify({ keys }), headers: { 'content-type': TYPE, ...headers } });
}

async function find(world: WebWorld, name: string): Promise<ResolvedKey> {
  return await world.resolver.find(directoryKeyId(`${HOST}:${world.server.port}`, name), {
    safeMethod: false,
  });
}

const signer = newSigner();

it('a key is found by its thumbprint, and its caller is the host', async () => {
  await using world = await newWebWorld();
  publish(world, [newSigner().jwk, { ...signer.jwk, kid: 'another name', use: 'sig' }]);
  const found = await find(world, signer.name);
  expect(found).toMatchObject({
    did: world.did(),
    keyId: `${world.did()}#${signer.name}`,
    methodClass: 'directory',
    tier: 'web',
  });
  const data = Buffer.from('x');
  expect(await found.key.verify(data, sign(null, data, signer.privateKey))).toBe(true);
  expect(world.resolver.admit(found)).toBe(true);
  expect(await find(world, signer.name)).toMatchObject({ tier: 'memory' });
  expect(world.asked).toEqual([PATH]);
});

it.each([
  ['ed25519', signer],
  ['ecdsa-p256-sha256', newSigner('P-256')],
  ['ecdsa-p384-sha384', newSigner('P-384')],
])('algorithms have the names of HTTP signatures: %s', async (alg, { jwk, name }) => {
  await using world = await newWebWorld();
  publish(world, [{ ...jwk, alg }]);
  expect((await find(world, name)).key.algorithm).toBe(alg);
});

describe('no key is', () => {
  it.each([
    ['one that is not there', newSigner().jwk, 'key_unknown'],
    ['a shared secret', { kty: 'oct', k: 'A'.repeat(43) }, 'key_unknown'],
    ['a private one', { ...signer.jwk, d: 'A'.repeat(43) }, 'key_unknown'],
    ['one that is not valid yet', { ...signer.jwk, nbf: 1_800_000_001 }, 'key_unknown'],
    ['one that was', { ...signer.jwk, exp: 1_800_000_000 }, 'key_expired'],
    ['one that was, in milliseconds', { ...signer.jwk, exp: 1_800_000_000_000 }, 'key_expired'],
    ['one that ends at no readable time', { ...signer.jwk, exp: 'tomorrow' }, 'key_unknown'],
    ['one of another algorithm', { ...signer.jwk, alg: 'ecdsa-p256-sha256' }, 'key_unsupported'],
    ['one for encryption', { ...signer.jwk, use: 'enc' }, 'key_unsupported'],
    ['half of one', { kty: 'OKP', crv: 'Ed25519' }, 'key_unknown'],
    ['null', null, 'key_unknown'],
  ])('%s', async (_what, jwk, code) => {
    await using world = await newWebWorld();
    publish(world, [jwk]);
    expect(await codeOf(() => find(world, signer.name))).toBe(code);
  });

  it('one that everybody can sign with', async () => {
    await using world = await newWebWorld();
    publish(world, [PUBLISHED]);
    expect(await codeOf(() => find(world, thumbprint(PUBLISHED)))).toBe('key_unsupported');
  });

  it('one behind 64 others', async () => {
    await using world = await newWebWorld();
    publish(world, [...Array.from({ length: 64 }, () => newSigner().jwk), signer.jwk]);
    expect(await codeOf(() => find(world, signer.name))).toBe('key_unknown');
  });

  it('one of a document that is served as another', async () => {
    await using world = await newWebWorld();
    publish(world, [signer.jwk], { 'content-type': 'application/json' });
    expect(await codeOf(() => find(world, signer.name))).toBe('did_unresolvable');
  });

  it.each(['{}', '{"keys":{}}', '[]', '{"keys":[],"keys":[]}'])('one of %s', async (body) => {
    await using world = await newWebWorld();
    world.files.set(PATH, { body, headers: { 'content-type': TYPE } });
    expect(await codeOf(() => find(world, signer.name))).toBe('did_unresolvable');
  });

  it('one of a host without a directory', async () => {
    await using world = await newWebWorld();
    expect(await codeOf(() => find(world, signer.name))).toBe('did_unknown');
  });
});

it('a host may wish its keys to be kept for up to five minutes', async () => {
  await using world = await newWebWorld();
  const lasts = async (headers: Record<string, string>): Promise<number> => {
    publish(world, [signer.jwk], headers);
    world.resolver.purge({ did: world.did() }, 'operator');
    return (await find(world, signer.name)).freshUntilMs - world.nowMs;
  };
  expect(await lasts({})).toBe(TTL_MS);
  expect(await lasts({ 'cache-control': 'max-age=120' })).toBe(120_000);
  expect(await lasts({ 'cache-control': 'max-age=86400' })).toBe(300_000);
  expect(await lasts({ 'cache-control': 'no-cache' })).toBe(5_000);
});

it('the document of a host and its directory are two things', async () => {
  await using world = await newWebWorld();
  const identity = newIdentity();
  world.publish('', documentOf(world.did(), { k: identity }));
  publish(world, [signer.jwk]);
  world.resolver.admit(await find(world, signer.name));
  expect(await codeOf(() => world.find(`${world.did()}#${signer.name}`))).toBe('key_unknown');
  expect((await world.find(`${world.did()}#k`)).fragment).toBe('k');
});

it('what was opened by a key of a directory is vouched for by the directory, and ends with its key', async () => {
  await using world = await newWebWorld();
  publish(world, [signer.jwk]);
  const found = await find(world, signer.name);
  expect(world.resolver.admit(found)).toBe(true);
  const told: boolean[] = [];
  const asked = Promise.withResolvers<void>();
  world.resolver.onRevoked(async (_did, stillValid) => {
    told.push(await stillValid(found.keyId, found.key.thumbprint));
    asked.resolve();
  });
  // There is no document of the DID, which says nothing about its directory.
  await world.resolver.recheck(world.did());
  expect(told).toEqual([]);
  world.nowMs += TTL_MS;
  publish(world, [newSigner().jwk]);
  await world.resolver.recheck(world.did());
  await asked.promise;
  expect(told).toEqual([false]);
  expect(world.resolver.stands(found)).toBe(false);
});

it('a purge asks the directory again before anything is closed', async () => {
  await using world = await newWebWorld();
  publish(world, [signer.jwk]);
  const found = await find(world, signer.name);
  world.resolver.admit(found);
  const answer = Promise.withResolvers<boolean>();
  world.resolver.onRevoked((_did, stillValid) => {
    stillValid(found.keyId, found.key.thumbprint).then(answer.resolve, answer.reject);
  });
  world.resolver.purge({ did: world.did() }, 'operator');
  expect(await answer.promise).toBe(true);
});
