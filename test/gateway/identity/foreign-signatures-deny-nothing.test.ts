/** Anybody on the way may add signatures of his own; none of them may stand between a good one and its route. */

import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { encodeDidKey } from '../../../src/trust/did/did-key.ts';
import { newCaller } from '../../e2e/support/callers.ts';
import { didOf, newIdentity, slot } from '../../trust/did/world.ts';
import { DAY, fieldsOf, newNonce, openProfileBench, type ProfileBench, type Shown } from './profile-world.ts';

const alice = newCaller();
let bench: ProfileBench;
beforeEach(() => {
  bench = openProfileBench();
});

const shown = (more: Partial<Shown> = {}, params: Shown['params'] = {}): Shown => ({
  components: ['@method', '@target-uri'],
  label: 'good',
  sign: (base) => alice.signer.key.sign(base),
  ...more,
  params: { keyid: alice.signer.keyId, created: bench.now(), nonce: newNonce(), ...params },
});

/** Members of both fields, to be put before or after those of the good one. */
function foreign(label: string, made: Shown): [input: string, signature: string] {
  const fields = new Map(fieldsOf({ ...made, label }));
  return [fields.get('signature-input') ?? '', fields.get('signature') ?? ''];
}

type Change = NonNullable<Shown['after']>;

function beside(first: boolean, ...members: [string, string][]): Change {
  const joined = (value: string, others: string[]): string =>
    (first ? [...others, value] : [value, ...others]).join(', ');
  return (fields) =>
    fields.map(([name, value]) => {
      if (name === 'signature-input')
        return [
          name,
          joined(
            value,
            members.map(([input]) => input),
          ),
        ];
      if (name === 'signature')
        return [
          name,
          joined(
            value,
            members.map(([, signature]) => signature),
          ),
        ];
      return [name, value];
    });
}

const stranger = newCaller();
const FOREIGN: readonly (readonly [string, () => Shown])[] = [
  ['of nobody who has a DID', () => shown({}, { keyid: 'proxy-1' })],
  ['of a method nobody resolves here', () => shown({}, { keyid: 'did:example:abc#1' })],
  [
    'of an agent who is unknown',
    () => shown({}, { keyid: `did:sage:eip155:31337:0x${'ab'.repeat(20)}:9#k` }),
  ],
  [
    'that does not verify',
    () => shown({ sign: () => Buffer.alloc(64, 7) }, { keyid: stranger.signer.keyId }),
  ],
  ['that names another algorithm', () => shown({}, { alg: 'ecdsa-p384-sha384' })],
  ['that is too old', () => shown({}, { created: bench.now() - 4_000 })],
  ['that covers too little', () => shown({ components: ['@method'] })],
  ['with a tag', () => shown({}, { tag: 'web-bot-auth', keyid: 'x' })],
  [
    'of a slow key, that does not verify',
    () => {
      const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
      const did = encodeDidKey(createPublicKey(publicKey.export({ format: 'pem', type: 'spki' })));
      return shown({ sign: () => Buffer.alloc(96, 7) }, { keyid: did });
    },
  ],
];

for (const first of [true, false]) {
  test.each(FOREIGN)(`one ${first ? 'before' : 'after'} it %s`, async (_what, made) => {
    const after = beside(first, foreign('theirs', made()));
    expect(await bench.ask(['rfc9421'], shown({ after }))).toBe(`caller ${alice.did} by ed25519`);
  });
}

test('unknown callers before one who is known, when no more of them may be looked up', async () => {
  expect(await bench.ask(['rfc9421'], shown())).toContain(alice.did);
  bench.limited = true;
  const after = beside(true, foreign('theirs', shown({}, { keyid: newCaller().signer.keyId })));
  expect(await bench.ask(['rfc9421'], shown({ after }))).toContain(alice.did);
  expect(await bench.ask(['rfc9421'], shown({}, { keyid: newCaller().signer.keyId }))).toBe(
    'new_callers_limited',
  );
});

test('three bad ones before it', async () => {
  const bad = FOREIGN.slice(2, 5).map(([, made], index) => foreign(`bad${index}`, made()));
  expect(await bench.ask(['rfc9421'], shown({ after: beside(true, ...bad) }))).toContain(alice.did);
});

test('three before it that fit more profiles of the route than it does', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const jwk = { kty: 'EC', crv: 'secp256k1', x, y };
  const agent = { flags: 1, notAfter: 0, setAtBlock: 1, material: { kind: 'jwk', jwk } as const };
  bench.world.registry.agents.set('1', [{ fragment: 'k1', ...agent }]);
  const keyid = didOf(1);
  const g2 = (made: Shown['sign'], params: Shown['params']): Shown =>
    shown(
      {
        fields: [
          ['date', DAY],
          ['x-sage-did', keyid],
        ],
        components: ['@method', '@target-uri', '@authority', '@path', 'x-sage-did', 'date'],
        sign: made,
      },
      { keyid, ...params },
    );
  const good = g2((base) => sign('keccak-256', base, { key: privateKey, dsaEncoding: 'ieee-p1363' }), {
    alg: 'es256k',
  });
  const bad = [1, 2, 3].map((fill) =>
    foreign(
      `bad${fill}`,
      g2(() => Buffer.alloc(64, fill), {}),
    ),
  );
  const after = beside(true, ...bad);
  expect(await bench.ask(['rfc9421', 'sage-g1', 'sage-g2'], { ...good, after })).toBe(
    `caller ${keyid} by ecdsa-secp256k1-keccak256`,
  );
});

test('three before it whose look-ups are slow: all are asked for at once', async () => {
  const release = bench.world.registry.hold();
  const hanging = [1, 2, 3].map((agent) =>
    foreign(`slow${agent}`, shown({}, { keyid: `${didOf(agent)}#k1` })),
  );
  const after = beside(true, ...hanging);
  const asked = bench.ask(['rfc9421'], shown({ after }));
  await expect.poll(() => bench.world.registry.reads, { interval: 1 }).toBe(3);
  release();
  expect(await asked).toBe(`caller ${alice.did} by ed25519`);
});

test('who is waited for keeps no other request waiting', async () => {
  bench.world.registry.agents.set('1', [slot('k1', newIdentity())]);
  const good = shown({}, { keyid: alice.signer.keyId });
  const release = bench.world.registry.hold();
  const wrong = foreign(
    'wrong',
    shown({ sign: () => Buffer.alloc(64, 7) }, { keyid: newCaller().signer.keyId }),
  );
  const slow = shown({ after: beside(false, wrong) }, { keyid: `${didOf(1)}#k1` });
  const asked = bench.ask(['rfc9421'], slow);
  expect(await bench.ask(['rfc9421'], good)).toContain(alice.did);
  release();
  expect(await asked).toBe('signature_invalid');
});

test('of two good ones the first counts, whoever is in memory, and so the message counts once', async () => {
  const bob = newIdentity();
  bench.world.registry.agents.set('1', [slot('k1', bob)]);
  expect(await bench.ask(['rfc9421'], shown())).toContain(alice.did);
  const second = foreign('second', shown());
  const message = fieldsOf(
    shown(
      { sign: (base) => sign(null, base, bob.privateKey), after: beside(false, second) },
      { keyid: `${didOf(1)}#k1` },
    ),
  );
  const twice = shown({ after: () => message });
  expect(await bench.ask(['rfc9421'], twice)).toBe(`caller ${didOf(1)} by ed25519`);
  expect(await bench.ask(['rfc9421'], twice)).toBe('nonce_replayed');
});

test('other requests have their turn between two that are bad', async () => {
  const bad = [1, 2, 3].map((fill) =>
    foreign(`bad${fill}`, shown({ sign: () => Buffer.alloc(64, fill) }, { keyid: newCaller().signer.keyId })),
  );
  let turns = 0;
  const look = (): void => {
    turns += 1;
    looking = setImmediate(look);
  };
  let looking = setImmediate(look);
  expect(await bench.ask(['rfc9421'], shown({ after: beside(true, ...bad) }))).toContain(alice.did);
  clearImmediate(looking);
  expect(turns).toBeGreaterThanOrEqual(bad.length);
});

test('the reason of the first is told when none is good', async () => {
  const bad = shown({ sign: () => Buffer.alloc(64, 7) });
  const after = beside(
    false,
    foreign('other', shown({ sign: () => Buffer.alloc(64, 8) }, { keyid: 'did:example:a' })),
  );
  expect(await bench.ask(['rfc9421'], { ...bad, after })).toBe('signature_invalid');
});

test('a route of several profiles takes each, and a nonce counts over all of them', async () => {
  const nonce = newNonce();
  const { keyId } = alice.signer;
  expect(await bench.ask(['sage-0.10', 'rfc9421'], shown({}, { nonce }))).toContain(alice.did);
  expect(await bench.ask(['rfc9421', 'web-bot-auth'], shown({}, { nonce }))).toBe('nonce_replayed');
  expect(await bench.ask(['sage-0.10', 'erc8128'], shown({}, { keyid: keyId }))).toBe('signature_not_found');
});
