/** However long the proof of a request takes, and whichever profile proves it, what was signed is accepted once. */
import { sign } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { CHAIN_ID, didOf, newIdentity, settled, slot } from '../../trust/did/world.ts';
import { newNonce, openProfileBench, type ProfileBench, type Shown } from './profile-world.ts';

const DID = didOf(1);
const caller = newIdentity();

let bench: ProfileBench;
let shown: Shown;
beforeEach(() => {
  bench = openProfileBench();
  bench.world.registry.agents.set('1', [slot('k1', caller)]);
  shown = {
    components: ['@method', '@authority', '@path'],
    params: { keyid: DID, created: bench.now(), nonce: newNonce() },
    sign: (base) => sign(null, base, caller.privateKey),
  };
});

test('what two profiles of a route accept is remembered until neither does', async () => {
  const created = bench.now();
  expect(await bench.ask(['rfc9421', 'sage-g1'], shown)).toBe(`caller ${DID} by ed25519`);
  // Read as g1, the same signature is good for five minutes.
  expect(bench.reserved[0]?.until).toBe(created + 300 + 5 + 1);
});

test('a profile that the signature is not meant for lengthens nothing', async () => {
  const created = bench.now();
  expect(await bench.ask(['rfc9421', 'web-bot-auth'], shown)).toBe(`caller ${DID} by ed25519`);
  expect(bench.reserved[0]?.until).toBe(created + 60 + 5 + 1);
});

test('a restart is judged by the profile that lets clocks differ most', async () => {
  const asked: number[] = [];
  bench.mayPredateMemory = (_created, skewSeconds) => asked.push(skewSeconds) > 0;
  expect(await bench.ask(['rfc9421', 'sage-g2'], shown)).not.toContain('caller');
  // What g2 accepts 300 s ahead of its date may come back as rfc9421 at its date.
  expect(asked[0]).toBe(300);
  bench.mayPredateMemory = () => false;
  expect(await bench.ask(['rfc9421', 'sage-g2'], shown)).toBe(`caller ${DID} by ed25519`);
  // As a Redis that was flushed meanwhile is judged.
  expect(bench.reserved[0]?.aheadMs).toBe(300_000);
});

test('a key that its document names otherwise meanwhile makes no second use', async () => {
  expect(await bench.ask(['sage-g1'], shown)).toBe(`caller ${DID} by ed25519`);
  bench.world.change(1, [slot('k2', caller)]);
  expect(await bench.ask(['sage-g1'], shown)).toBe('nonce_replayed');
});

test('a signature that ends while its key is waited for is refused, though nothing follows it', async () => {
  const release = bench.world.registry.hold();
  const asked = bench.ask(['rfc9421'], shown);
  await settled();
  // By now whoever accepted its nonce before may have forgotten it.
  bench.world.nowMs += 70_000;
  bench.world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
  release();
  expect(await asked).toBe('signature_too_old');
  expect(bench.reserved).toEqual([]);
});
