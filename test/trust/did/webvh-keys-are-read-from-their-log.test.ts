import { beforeAll, expect, it } from 'vitest';
import { HOST } from '../fetch/hosts.ts';
import { newWebWorld, type WebWorld } from './web-world.ts';
import { Controller, created, dayOf, type Log, linesOf, sealed, updated, witnessed } from './webvh-world.ts';
import { codeOf, isKeyOf, newIdentity } from './world.ts';

const alice = new Controller();
const bob = new Controller();
const [one, two] = [newIdentity(), newIdentity()];
const TTL_MS = 60_000;

let world: WebWorld;
beforeAll(async () => {
  world = await newWebWorld();
  // The logs are dated in this year, and their times are checked.
  world.nowMs = Date.now();
  return () => world[Symbol.asyncDispose]();
});

let names = 0;
/** A path of its own, and where a DID with it is. */
function newPlace(): { domain: string; file: string; witnesses: string } {
  names += 1;
  return {
    domain: `${HOST}%3A${world.server.port}:a${names}`,
    file: `/a${names}/did.jsonl`,
    witnesses: `/a${names}/did-witness.json`,
  };
}

function put(file: string, log: Log, headers: Record<string, string> = {}): void {
  world.files.set(file, {
    body: linesOf(log).toString(),
    headers: { 'content-type': 'text/jsonl', ...headers },
  });
}

it('the key of the newest version, and of none before it', async () => {
  const { domain, file } = newPlace();
  const { did, log } = await created(alice, { domain, identities: { one } });
  put(file, log);
  const found = await world.find(`${did}#one`);
  expect(found).toMatchObject({ did, tier: 'web', methodClass: 'web' });
  expect(isKeyOf(found, one)).toBe(true);
  expect(world.resolver.admit(found)).toBe(true);
  put(file, await updated(log, alice, { identities: { two } }));
  world.nowMs += TTL_MS;
  expect(await codeOf(() => world.find(`${did}#one`))).toBe('key_unknown');
  expect(isKeyOf(await world.find(`${did}#two`), two)).toBe(true);
});

it('a log that lost a version it had is not believed, and after an absence neither', async () => {
  const { domain, file } = newPlace();
  const { did, log } = await created(alice, { domain, identities: { one } });
  const longer = await updated(log, alice, { identities: { two } });
  put(file, longer);
  world.resolver.admit(await world.find(`${did}#two`));
  put(file, log);
  world.nowMs += TTL_MS;
  expect(await codeOf(() => world.find(`${did}#one`))).toBe('did_unresolvable');
  world.files.delete(file);
  world.nowMs += TTL_MS;
  expect(await codeOf(() => world.find(`${did}#two`))).toBe('did_unknown');
  put(file, log);
  world.nowMs += TTL_MS;
  expect(await codeOf(() => world.find(`${did}#one`))).toBe('did_unresolvable');
  put(file, longer);
  world.nowMs += 1_000;
  expect(isKeyOf(await world.find(`${did}#two`), two)).toBe(true);
});

it('a log that is a text file, or of unknown type, proves itself all the same', async () => {
  const { domain, file } = newPlace();
  const { did, log } = await created(alice, { domain, identities: { one } });
  for (const type of ['text/plain; charset=utf-8', 'application/octet-stream']) {
    put(file, log, { 'content-type': type });
    expect(isKeyOf(await world.find(`${did}#one`), one)).toBe(true);
    world.nowMs += TTL_MS;
  }
});

it('what its host changed in it is not believed', async () => {
  const { domain, file } = newPlace();
  const { did, log } = await created(alice, { domain, identities: { one } });
  const [entry] = log;
  world.files.set(file, {
    body: JSON.stringify(entry).replaceAll(alice.multikey, bob.multikey),
    headers: { 'content-type': 'text/jsonl' },
  });
  expect(await codeOf(() => world.find(`${did}#one`))).toBe('did_unresolvable');
});

it('a log that stands where another DID is looked for is not its log', async () => {
  const [here, there] = [newPlace(), newPlace()];
  const { did, log } = await created(alice, { domain: here.domain, identities: { one } });
  put(there.file, log);
  const elsewhere = did.replace(here.domain, there.domain);
  expect(await codeOf(() => world.find(`${elsewhere}#one`))).toBe('did_unresolvable');
});

it('an ended DID has no keys', async () => {
  const { domain, file } = newPlace();
  const { did, log } = await created(alice, { domain, identities: { one } });
  const entry = { ...log[0], versionTime: dayOf(2), parameters: { deactivated: true } };
  put(file, await sealed(log, entry, [alice]));
  expect(await codeOf(() => world.find(`${did}#one`))).toBe('key_unknown');
});

it('what has to be witnessed counts once it is', async () => {
  const { domain, file, witnesses } = newPlace();
  const witness = { threshold: 1, witnesses: [{ id: bob.did }] };
  const { did, log } = await created(alice, { domain, identities: { one }, witness });
  put(file, log);
  expect(await codeOf(() => world.find(`${did}#one`))).toBe('did_unresolvable');
  world.files.set(witnesses, {
    body: JSON.stringify(await witnessed([[log[0], bob]])),
    headers: { 'content-type': 'application/json' },
  });
  world.nowMs += 1_000;
  expect(isKeyOf(await world.find(`${did}#one`), one)).toBe(true);
});

it('the controller may shorten the time that it is kept', async () => {
  const { domain, file } = newPlace();
  const { did, log } = await created(alice, { domain, identities: { one } });
  const entry = { ...log[0], versionTime: dayOf(2), parameters: { ttl: 20 } };
  put(file, await sealed(log, entry, [alice]), { 'cache-control': 'max-age=3600' });
  const { freshUntilMs } = await world.find(`${did}#one`);
  expect(freshUntilMs - world.nowMs).toBe(20_000);
});

it('a log that did not change is not verified anew', async () => {
  const { domain, file } = newPlace();
  const { did, log } = await created(alice, { domain, identities: { one } });
  put(file, log, { etag: '"1"' });
  world.resolver.admit(await world.find(`${did}#one`));
  world.nowMs += TTL_MS;
  expect(isKeyOf(await world.find(`${did}#one`), one)).toBe(true);
  expect(world.asked.slice(-2)).toEqual([file, `${file} "1"`]);
});
