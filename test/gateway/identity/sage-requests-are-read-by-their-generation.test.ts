/** The generations of SAGE, each by its text; what one of them signs is no signature of another. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { beforeEach, describe, expect, test } from 'vitest';
import { generateSigningKey } from '../../../src/trust/keys/signing.ts';
import type { ProfileName } from '../../../src/trust/profiles/profile.ts';
import { didOf, slot } from '../../trust/did/world.ts';
import { BODY, DAY, newNonce, openProfileBench, type ProfileBench, type Shown } from './profile-world.ts';

const DID = didOf(1);
const ed = generateSigningKey('ed25519');
const p256 = generateSigningKey('ecdsa-p256-sha256');
const p384 = generateSigningKey('ecdsa-p384-sha384');
const k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });

let bench: ProfileBench;
beforeEach(() => {
  bench = openProfileBench();
  const key = (fragment: string, multikey: string | null) =>
    slot(fragment, {
      multikey: base58btc.decode((multikey ?? '') as `z${string}`),
      privateKey: k1.privateKey,
    });
  bench.world.registry.agents.set('1', [
    key('key-ed', ed.multikey),
    key('key-p256', p256.multikey),
    key('key-p384', p384.multikey),
    key('key-k1', multikeyOf(k1.publicKey)),
  ]);
  bench.world.registry.agents.set('2', [key('only', multikeyOf(k1.publicKey))]);
});

function multikeyOf(key: KeyObject): string {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  const odd = ((Buffer.from(y, 'base64url').at(-1) ?? 0) & 1) === 1;
  return base58btc.encode(
    Buffer.concat([Buffer.from([0xe7, 0x01, odd ? 3 : 2]), Buffer.from(x, 'base64url')]),
  );
}

const es256k =
  (digest: 'sha256' | 'keccak-256', dsaEncoding: 'ieee-p1363' | 'der' = 'ieee-p1363') =>
  (base: Uint8Array): Uint8Array =>
    sign(digest, base, { key: k1.privateKey, dsaEncoding });

const without = (list: readonly string[], name: string): string[] => list.filter((one) => one !== name);

describe('sage-0.10', () => {
  const COVERED = [
    '@method',
    '@target-uri',
    '@authority',
    'content-type',
    'content-digest',
    'x-sage-did',
    'x-sage-version',
  ];
  const shown = (more: Partial<Shown> = {}, params: Shown['params'] = {}): Shown => ({
    method: 'POST',
    body: BODY,
    fields: [
      ['content-type', 'application/json'],
      ['x-sage-did', DID],
      ['x-sage-version', '0.10.0'],
    ],
    components: COVERED,
    sign: (base) => ed.signing.sign(base),
    ...more,
    params: {
      keyid: `${DID}#key-ed`,
      alg: 'ed25519',
      created: bench.now(),
      expires: bench.now() + 300,
      nonce: newNonce(),
      tag: 'sage-0.10.0',
      ...params,
    },
  });
  const ask = (...args: Parameters<typeof shown>) => bench.ask(['sage-0.10'], shown(...args));

  test('what the text asks for is accepted, by both of its algorithms', async () => {
    expect(await ask()).toBe(`caller ${DID} by ed25519`);
    const byP256 = { sign: (base: Uint8Array) => p256.signing.sign(base) };
    expect(await ask(byP256, { keyid: `${DID}#key-p256`, alg: 'ecdsa-p256-sha256' })).toBe(
      `caller ${DID} by ecdsa-p256-sha256`,
    );
  });

  test('a nonce counts once, and is kept until the grace is over', async () => {
    const nonce = newNonce();
    expect(await ask({}, { nonce })).toBe(`caller ${DID} by ed25519`);
    expect(await ask({}, { nonce })).toBe('nonce_replayed');
    expect(bench.reserved[0]?.until).toBeGreaterThanOrEqual(bench.now() + 329);
  });

  test.each<[string, string, () => [Partial<Shown>?, Shown['params']?]]>([
    ['no tag', 'signature_not_found', () => [{}, { tag: undefined }]],
    ['the tag of another version', 'signature_not_found', () => [{}, { tag: 'sage-0.9.0' }]],
    ['another label', 'signature_not_found', () => [{ label: 'sig2' }]],
    ['no algorithm', 'parameter_missing', () => [{}, { alg: undefined }]],
    ['no expires', 'parameter_missing', () => [{}, { expires: undefined }]],
    ['no nonce', 'parameter_missing', () => [{}, { nonce: undefined }]],
    ['a nonce of 15 bytes', 'parameter_invalid', () => [{}, { nonce: newNonce().slice(2) }]],
    ['a nonce with padding', 'parameter_invalid', () => [{}, { nonce: `${newNonce()}==` }]],
    ['a nonce with loose bits', 'parameter_invalid', () => [{}, { nonce: `${newNonce().slice(0, 21)}B` }]],
    ['a life of 301 seconds', 'lifetime_invalid', () => [{}, { expires: bench.now() + 301 }]],
    ['no life at all', 'lifetime_invalid', () => [{}, { expires: bench.now() }]],
    [
      'created 31 s ahead',
      'created_in_future',
      () => [{}, { created: bench.now() + 31, expires: bench.now() + 60 }],
    ],
    [
      'past its grace',
      'signature_expired',
      () => [{}, { created: bench.now() - 60, expires: bench.now() - 30 }],
    ],
    ['a bare DID', 'did_malformed', () => [{}, { keyid: DID }]],
    ['another method', 'did_method_unsupported', () => [{}, { keyid: 'did:web:agent.example#k' }]],
    ['the DID of another', 'field_disagrees', () => [{}, { keyid: `${didOf(2)}#only` }]],
    ['a key the DID lacks', 'key_unknown', () => [{}, { keyid: `${DID}#key-x` }]],
    [
      'an algorithm of no place here',
      'algorithm_unsupported',
      () => [{}, { alg: 'es256k', keyid: `${DID}#key-k1` }],
    ],
    ['a P-384 key', 'algorithm_unsupported', () => [{}, { alg: 'ed25519', keyid: `${DID}#key-p384` }]],
    ["another key's algorithm", 'algorithm_mismatch', () => [{}, { alg: 'ecdsa-p256-sha256' }]],
    ['covered in another order', 'coverage_insufficient', () => [{ components: [...COVERED].reverse() }]],
    [
      'more covered than that',
      'coverage_insufficient',
      () => [
        { components: [...COVERED, 'x-sage-did;bs'].map((c) => (c.includes(';') ? '"x-sage-did";bs' : c)) },
      ],
    ],
    ...COVERED.map(
      (name) =>
        [`${name} not covered`, 'coverage_insufficient', () => [{ components: without(COVERED, name) }]] as [
          string,
          string,
          () => [Partial<Shown>],
        ],
    ),
    [
      'another version in the field',
      'field_disagrees',
      () => [
        {
          fields: [
            ['content-type', 'a/b'],
            ['x-sage-did', DID],
            ['x-sage-version', '0.9.0'],
          ],
        },
      ],
    ],
    [
      'a digest by another hash',
      'digest_unsupported',
      () => [
        {
          after: (fields) =>
            fields.map(([name, value]) =>
              name === 'content-digest' ? [name, 'sha-512=:AAAA:'] : [name, value],
            ),
        },
      ],
    ],
    ['another body', 'digest_mismatch', () => [{ sentBody: Buffer.from('{"pay":2}') }]],
    [
      'another signer',
      'signature_invalid',
      () => [{ sign: (base) => generateSigningKey('ed25519').signing.sign(base) }],
    ],
  ])('%s: %s', async (_what, code, made) => {
    expect(await ask(...made())).toBe(code);
    expect(bench.reserved).toEqual([]);
  });

  test('29 s of grace and 30 s of skew are granted', async () => {
    expect(await ask({}, { created: bench.now() - 60, expires: bench.now() - 29 })).toContain('caller');
    expect(await ask({}, { created: bench.now() + 30, expires: bench.now() + 60 })).toContain('caller');
  });

  test('other labels beside it deny nothing', async () => {
    const foreign = 'sig0=("@method");created=1;keyid="x";tag="sage-0.10.0"';
    const added = (fields: Shown['fields']) =>
      (fields ?? []).map(([name, value]) => {
        if (name === 'signature-input') return [name, `${foreign}, ${value}`] as const;
        return name === 'signature' ? ([name, `sig0=:AAAA:, ${value}`] as const) : ([name, value] as const);
      });
    expect(await ask({ after: added })).toBe(`caller ${DID} by ed25519`);
  });
});

describe('sage-g2', () => {
  const COVERED = [
    '@method',
    '@target-uri',
    '@authority',
    'content-type',
    'content-digest',
    'x-sage-did',
    'date',
  ];
  const shown = (more: Partial<Shown> = {}, params: Shown['params'] = {}): Shown => ({
    method: 'POST',
    body: BODY,
    fields: [
      ['content-type', 'application/json'],
      ['x-sage-did', DID],
      ['date', DAY],
    ],
    components: COVERED,
    sign: es256k('keccak-256'),
    ...more,
    params: { keyid: `${DID}#key-k1`, alg: 'es256k', created: bench.now(), nonce: newNonce(), ...params },
  });
  const ask = (...args: Parameters<typeof shown>) => bench.ask(['sage-g2'], shown(...args));

  test('Keccak-256 on secp256k1, as 64 bytes, as 65 and as DER', async () => {
    const keccak = `caller ${DID} by ecdsa-secp256k1-keccak256`;
    expect(await ask()).toBe(keccak);
    for (const v of [0, 1, 27, 28]) {
      const bytes = (base: Uint8Array) => Buffer.concat([es256k('keccak-256')(base), Buffer.of(v)]);
      expect(await ask({ sign: bytes })).toBe(keccak);
    }
    // Often enough for every length that DER's integers have.
    for (let n = 0; n < 40; n += 1) expect(await ask({ sign: es256k('keccak-256', 'der') })).toBe(keccak);
  });

  test('without alg, with a tag, by a bare DID of one key, and by Ed25519', async () => {
    expect(await ask({}, { alg: undefined, tag: 'sage' })).toContain('caller');
    expect(
      await ask(
        {
          fields: [
            ['content-type', 'a/b'],
            ['x-sage-did', didOf(2)],
            ['date', DAY],
          ],
        },
        { keyid: didOf(2) },
      ),
    ).toBe(`caller ${didOf(2)} by ecdsa-secp256k1-keccak256`);
    expect(
      await ask({ sign: (base) => ed.signing.sign(base) }, { keyid: `${DID}#key-ed`, alg: 'ed25519' }),
    ).toBe(`caller ${DID} by ed25519`);
  });

  test('five minutes either way', async () => {
    for (const off of [-300, 300]) expect(await ask({}, { created: bench.now() + off })).toContain('caller');
    expect(await ask({}, { created: bench.now() - 301 })).toBe('signature_too_old');
    expect(await ask({}, { created: bench.now() + 301 })).toBe('created_in_future');
    // Kept as long as it could be accepted.
    expect(bench.reserved.at(-1)?.until).toBeGreaterThanOrEqual(bench.now() + 600);
  });

  test.each<[string, string, () => [Partial<Shown>?, Shown['params']?]]>([
    ['SHA-256 under it', 'signature_invalid', () => [{ sign: es256k('sha256') }]],
    ['no nonce', 'parameter_missing', () => [{}, { nonce: undefined }]],
    ['the tag of 0.10', 'signature_not_found', () => [{}, { tag: 'sage-0.10.0' }]],
    ['a foreign tag', 'signature_not_found', () => [{}, { tag: 'web-bot-auth' }]],
    [
      'the algorithm by its own name',
      'algorithm_unsupported',
      () => [{}, { alg: 'ecdsa-secp256k1-keccak256' }],
    ],
    [
      'the DID of another',
      'field_disagrees',
      () => [
        {
          fields: [
            ['content-type', 'a/b'],
            ['x-sage-did', didOf(2)],
            ['date', DAY],
          ],
        },
      ],
    ],
    [
      'a DID that cannot be read',
      'field_disagrees',
      () => [
        {
          fields: [
            ['content-type', 'a/b'],
            ['x-sage-did', 'me'],
            ['date', DAY],
          ],
        },
      ],
    ],
    [
      'a recovery id of no meaning',
      'signature_invalid',
      () => [{ sign: (base) => Buffer.concat([es256k('keccak-256')(base), Buffer.of(5)]) }],
    ],
    [
      'DER with something after it',
      'signature_invalid',
      () => [{ sign: (base) => Buffer.concat([es256k('keccak-256', 'der')(base), Buffer.of(0)]) }],
    ],
    ...COVERED.map(
      (name) =>
        [`${name} not covered`, 'coverage_insufficient', () => [{ components: without(COVERED, name) }]] as [
          string,
          string,
          () => [Partial<Shown>],
        ],
    ),
  ])('%s: %s', async (_what, code, made) => {
    expect(await ask(...made())).toBe(code);
    expect(bench.reserved).toEqual([]);
  });
});

describe('sage-g1', () => {
  const COVERED = ['@method', '@path', '@query', 'content-digest'];
  const shown = (more: Partial<Shown> = {}, params: Shown['params'] = {}): Shown => ({
    method: 'POST',
    target: '/agents/echo/?a=1',
    body: BODY,
    components: COVERED,
    sign: es256k('sha256'),
    ...more,
    params: {
      keyid: didOf(2),
      alg: 'es256k',
      created: bench.now(),
      expires: bench.now() + 300,
      nonce: newNonce(),
      ...params,
    },
  });
  const ask = (...args: Parameters<typeof shown>) => bench.ask(['sage-g1'], shown(...args));

  test('SHA-256 on secp256k1, for five minutes', async () => {
    expect(await ask()).toBe(`caller ${didOf(2)} by ecdsa-secp256k1-sha256`);
    expect(await ask({}, { created: bench.now() - 300 })).toContain('caller');
    expect(await ask({}, { created: bench.now() - 306 })).toBe('signature_too_old');
  });

  test.each<[string, string, () => [Partial<Shown>?, Shown['params']?]]>([
    ['Keccak under it', 'signature_invalid', () => [{ sign: es256k('keccak-256') }]],
    ['PKCS 1 under the name of PSS', 'algorithm_unsupported', () => [{}, { alg: 'rsa-pss-sha256' }]],
    ['a key that is named', 'did_malformed', () => [{}, { keyid: `${didOf(2)}#only` }]],
    ['a DID of several keys', 'key_ambiguous', () => [{}, { keyid: DID }]],
    ['no nonce', 'parameter_missing', () => [{}, { nonce: undefined }]],
    ['a tag', 'signature_not_found', () => [{}, { tag: 'sage' }]],
    ...COVERED.map(
      (name) =>
        [`${name} not covered`, 'coverage_insufficient', () => [{ components: without(COVERED, name) }]] as [
          string,
          string,
          () => [Partial<Shown>],
        ],
    ),
  ])('%s: %s', async (_what, code, made) => {
    expect(await ask(...made())).toBe(code);
  });

  test.each<ProfileName>(['rfc9421', 'sage-g2', 'sage-0.10', 'web-bot-auth', 'erc8128'])(
    'is nothing to a route of %s',
    async (name) => {
      expect(await bench.ask([name], shown())).not.toContain('caller');
    },
  );
});
