import { expect, it } from 'vitest';
import { documentOf, newWebWorld } from './web-world.ts';
import { codeOf, isKeyOf, newIdentity } from './world.ts';

it('the key of a host, and of a path below it', async () => {
  await using world = await newWebWorld();
  const [one, two] = [newIdentity(), newIdentity()];
  world.publish('', documentOf(world.did(), { k: one }));
  world.publish('agents:weather', documentOf(world.did('agents:weather'), { k: two }));
  const found = await world.find(`${world.did()}#k`);
  expect(found).toMatchObject({
    did: world.did(),
    keyId: `${world.did()}#k`,
    tier: 'web',
    methodClass: 'web',
  });
  expect(isKeyOf(found, one)).toBe(true);
  expect(isKeyOf(await world.find(`${world.did('agents:weather')}#k`), two)).toBe(true);
  expect(world.asked).toEqual(['/.well-known/did.json', '/agents/weather/did.json']);
});

it('a bare DID names the only key, and none of several', async () => {
  await using world = await newWebWorld();
  const one = newIdentity();
  world.publish('', documentOf(world.did(), { k: one }));
  expect(isKeyOf(await world.find(world.did()), one)).toBe(true);
  world.publish('two', documentOf(world.did('two'), { a: one, b: newIdentity() }));
  expect(await codeOf(() => world.find(world.did('two')))).toBe('key_ambiguous');
});

it('a document of another DID is not believed, and says nothing about this one', async () => {
  await using world = await newWebWorld();
  const forged = newIdentity();
  world.publish('', documentOf('did:web:victim.example', { k: forged }));
  expect(await codeOf(() => world.find(`${world.did()}#k`))).toBe('did_unresolvable');
  world.publish('a', documentOf(world.did(), { k: forged }));
  expect(await codeOf(() => world.find(`${world.did('a')}#k`))).toBe('did_unresolvable');
});

it.each([
  ['JSON with a member twice', '{"id":"x","id":"y"}'],
  ['no JSON', '<html>'],
  ['a list', '[]'],
  ['nothing', ''],
])('%s is no document', async (_name, body) => {
  await using world = await newWebWorld();
  world.files.set('/.well-known/did.json', { body });
  expect(await codeOf(() => world.find(world.did()))).toBe('did_unresolvable');
});

it('a document beside an error status is not believed', async () => {
  await using world = await newWebWorld();
  const body = JSON.stringify(documentOf(world.did(), { k: newIdentity() }));
  world.files.set('/.well-known/did.json', { body, status: 500 });
  expect(await codeOf(() => world.find(world.did()))).toBe('did_unresolvable');
});

it('a thousand concurrent misses make one fetch', async () => {
  await using world = await newWebWorld();
  const one = newIdentity();
  world.publish('', documentOf(world.did(), { k: one }));
  const found = await Promise.all(Array.from({ length: 1_000 }, () => world.find(`${world.did()}#k`)));
  expect(found.every((key) => isKeyOf(key, one))).toBe(true);
  expect(world.asked.length).toBe(1);
});

it('what cannot be read is not fetched more than once a second', async () => {
  await using world = await newWebWorld();
  world.files.set('/.well-known/did.json', { body: 'x' });
  for (let times = 0; times < 5; times += 1) {
    expect(await codeOf(() => world.find(`${world.did()}#k${times}`))).toBe('did_unresolvable');
  }
  expect(world.asked.length).toBe(1);
  world.publish('', documentOf(world.did(), { k: newIdentity() }));
  world.nowMs += 1_000;
  expect((await world.find(world.did())).fragment).toBe('k');
});
