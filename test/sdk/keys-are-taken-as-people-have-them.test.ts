import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { didKeyOf, didKeyResolver } from '../../src/sdk/did.ts';
import { importPublicKey, type PublicKeyInput } from '../../src/sdk/public-key.ts';
import { signRequest } from '../../src/sdk/sign.ts';
import { createSigner, generateKeyPair, type SignerOptions } from '../../src/sdk/signer.ts';
import { verifyRequest } from '../../src/sdk/verify.ts';
import { encodeDidKey } from '../../src/trust/did/did-key.ts';
import { thumbprint } from '../../src/trust/keys/thumbprint.ts';
import { codeOf, NOW, ORIGIN, PAIRED, serverOptions } from './support/parties.ts';

const newKey: Readonly<Record<string, () => KeyObject>> = {
  ed25519: () => generateKeyPairSync('ed25519').privateKey,
  'ecdsa-p256-sha256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  'ecdsa-p384-sha384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  'rsa-pss-sha512': () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  'id-RSASSA-PSS': () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey,
  secp256k1: () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey,
  'P-521': () => generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey,
  x25519: () => generateKeyPairSync('x25519').privateKey,
  'RSA of 1024 bits': () => generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey,
};
const make = (kind: string): KeyObject => {
  const key = newKey[kind]?.();
  if (key === undefined) throw new Error(kind);
  return key;
};
const pkcs8 = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const spki = (key: KeyObject): string =>
  createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();

async function passes(options: SignerOptions, publicKey: PublicKeyInput): Promise<string> {
  const signer = await createSigner({ keyId: 'me', ...options });
  const signed = await signRequest({ url: `${ORIGIN}/` }, signer, { now: () => NOW });
  const { caller } = await verifyRequest(signed, serverOptions({ keys: { [signer.keyId]: publicKey } }));
  return caller.algorithm;
}

describe.each(PAIRED)('%s', (algorithm) => {
  test('PEM, JWK, JSON text and CryptoKey are one key', async () => {
    const key = make(algorithm);
    const jwk = key.export({ format: 'jwk' });
    const publicJwk = createPublicKey(key).export({ format: 'jwk' });
    const imported = await importPublicKey(spki(key));
    expect(imported.thumbprint).toBe(thumbprint({ ...publicJwk }));
    expect(await passes({ privateKey: pkcs8(key) }, publicJwk)).toBe(algorithm);
    expect(await passes({ privateKey: `\n${pkcs8(key)}\n`, algorithm }, spki(key))).toBe(algorithm);
    expect(await passes({ privateKey: jwk }, imported)).toBe(algorithm);
    expect(await passes({ privateKey: JSON.stringify({ ...jwk, kid: 'x', use: 'sig' }) }, publicJwk)).toBe(
      algorithm,
    );
  });

  test('its DID is the one the gateway reads', async () => {
    const { did, keyId, publicJwk, privateJwk } = await generateKeyPair(algorithm);
    expect(await didKeyOf(publicJwk)).toEqual({ did, keyId });
    expect(await didKeyOf(privateJwk)).toEqual({ did, keyId });
    if (algorithm !== 'rsa-pss-sha512')
      expect(did).toBe(
        encodeDidKey(createPublicKey({ key: JSON.parse(JSON.stringify(publicJwk)), format: 'jwk' })),
      );
    const found = await didKeyResolver()(keyId);
    expect(found?.thumbprint).toBe(thumbprint({ ...publicJwk }));
    const bare = await didKeyResolver()(did);
    expect(bare?.thumbprint).toBe(found?.thumbprint);
    expect((await createSigner({ privateKey: privateJwk })).keyId).toBe(keyId);
  });
});

test('a CryptoKey signs without being readable', async () => {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, false, [
    'sign',
    'verify',
  ]);
  expect(await passes({ privateKey: pair.privateKey }, pair.publicKey)).toBe('ecdsa-p384-sha384');
  expect(await codeOf(createSigner({ privateKey: pair.privateKey }))).toBe('keyid_missing');
  expect(await codeOf(didKeyOf(pair.privateKey))).toBe('key_not_exportable');
});

test('an RSA key under the PSS identifier is taken', async () => {
  const key = make('id-RSASSA-PSS');
  expect(await passes({ privateKey: pkcs8(key) }, spki(key))).toBe('rsa-pss-sha512');
});

describe('what is no key to sign with says why', () => {
  const ed = make('ed25519');
  const jwk = ed.export({ format: 'jwk' });
  const other = make('ed25519').export({ format: 'jwk' });
  const rsa = make('rsa-pss-sha512');
  const ec = make('ecdsa-p256-sha256');
  const cases: [string, string, SignerOptions][] = [
    ['nothing', 'key_malformed', { privateKey: '' }],
    ['a file name', 'key_malformed', { privateKey: './key.pem' }],
    ['half a PEM', 'key_malformed', { privateKey: pkcs8(ed).slice(0, 60) }],
    [
      'a PEM of nonsense',
      'key_malformed',
      { privateKey: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----' },
    ],
    ['broken JSON', 'key_malformed', { privateKey: '{"kty":' }],
    ['a public PEM', 'key_not_private', { privateKey: spki(ed) }],
    ['a public JWK', 'key_not_private', { privateKey: { ...jwk, d: undefined } }],
    [
      'an encrypted PEM',
      'key_encrypted',
      {
        privateKey: ed
          .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
          .toString(),
      },
    ],
    [
      'a PKCS #1 PEM',
      'key_format_unsupported',
      { privateKey: rsa.export({ type: 'pkcs1', format: 'pem' }).toString() },
    ],
    [
      'a SEC 1 PEM',
      'key_format_unsupported',
      { privateKey: ec.export({ type: 'sec1', format: 'pem' }).toString() },
    ],
    ['a secp256k1 PEM', 'key_secp256k1_unsupported', { privateKey: pkcs8(make('secp256k1')) }],
    [
      'a secp256k1 JWK',
      'key_secp256k1_unsupported',
      { privateKey: make('secp256k1').export({ format: 'jwk' }) },
    ],
    ['a P-521 PEM', 'key_curve_unsupported', { privateKey: pkcs8(make('P-521')) }],
    ['a key for agreeing', 'key_type_unsupported', { privateKey: pkcs8(make('x25519')) }],
    ['a short RSA key', 'key_too_weak', { privateKey: pkcs8(make('RSA of 1024 bits')) }],
    ['a short secret', 'key_too_weak', { privateKey: { kty: 'oct', k: 'c2hvcnQ' }, keyId: 'x' }],
    ['a secret without a name', 'keyid_missing', { privateKey: { kty: 'oct', k: 'A'.repeat(43) } }],
    ['halves of two keys', 'key_halves_differ', { privateKey: { ...jwk, x: other.x } }],
    ['a key for encryption', 'key_not_for_signatures', { privateKey: { ...jwk, use: 'enc' } }],
    ['another algorithm', 'key_algorithm_mismatch', { privateKey: jwk, algorithm: 'rsa-pss-sha512' }],
    [
      'an algorithm of no use',
      'algorithm_unsupported',
      { privateKey: jwk, algorithm: 'rsa-v1_5-sha256' as never },
    ],
    [
      'a keyId of another key',
      'keyid_mismatch',
      { privateKey: jwk, keyId: encodeDidKey(createPublicKey(ec)) },
    ],
    ['a keyId with a space', 'keyid_invalid', { privateKey: jwk, keyId: 'my key' }],
  ];
  test.each(cases)('%s: %s', async (_what, code, options) => {
    expect(await codeOf(createSigner(options))).toBe(code);
  });

  test('no error repeats the key', async () => {
    const secret = String(jwk.d);
    const wrong = [{ ...jwk, x: other.x }, `{"d":"${secret}"`, { ...jwk, x: '!' }, { ...jwk, kty: 'EC' }];
    for (const privateKey of wrong) {
      const error: unknown = await createSigner({ privateKey }).catch((caught: unknown) => caught);
      const said = error instanceof Error ? `${error.message}${error.stack}${String(error.cause)}` : '';
      expect(said).not.toContain(secret);
      expect(said).not.toBe('');
    }
  });

  test('a secret is no key pair', async () => {
    expect(await codeOf(generateKeyPair('hmac-sha256'))).toBe('algorithm_unsupported');
    expect(await codeOf(didKeyOf({ kty: 'oct', k: 'A'.repeat(43) }))).toBe('key_without_did');
  });
});

describe('what is no key to verify with is refused', () => {
  const pem = (key: KeyObject): string => spki(createPrivateKey(pkcs8(key)));
  const low = { kty: 'OKP', crv: 'Ed25519', x: `AQ${'A'.repeat(41)}` };
  const ec = createPublicKey(make('ecdsa-p256-sha256')).export({ format: 'jwk' });
  const cases: [string, string, PublicKeyInput][] = [
    ['a private PEM', 'key_not_public', pkcs8(make('ed25519'))],
    ['a private JWK', 'key_not_public', make('ed25519').export({ format: 'jwk' })],
    ['a point of small order', 'key_low_order', low],
    ['a point off its curve', 'key_malformed', { ...ec, y: ec.x }],
    ['a short RSA key', 'key_too_weak', pem(make('RSA of 1024 bits'))],
    ['secp256k1', 'key_secp256k1_unsupported', pem(make('secp256k1'))],
    ['a certificate', 'key_malformed', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'],
  ];
  test.each(cases)('%s: %s', async (_what, code, key) => {
    expect(await codeOf(importPublicKey(key))).toBe(code);
  });
});
