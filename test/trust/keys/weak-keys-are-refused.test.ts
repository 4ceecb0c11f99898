import type { KeyObject, webcrypto } from 'node:crypto';
import { generateKeyPairSync } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { describe, expect, test } from 'vitest';
import { KeyError, type KeyErrorCode } from '../../../src/trust/keys/errors.ts';
import {
  importAccount,
  importHmac,
  importJwk,
  importMultikey,
  importSpki,
} from '../../../src/trust/keys/import.ts';
import type { ImportOptions } from '../../../src/trust/keys/public-jwk.ts';
import { generateSigningKey, importSigningJwk } from '../../../src/trust/keys/signing.ts';

function codeOf(run: () => unknown): KeyErrorCode {
  try {
    run();
  } catch (error) {
    if (error instanceof KeyError) return error.code;
    throw error;
  }
  throw new Error('nothing was thrown');
}

type Jwk = Record<string, unknown>;
const jwkOf = (key: KeyObject): Jwk => ({ ...key.export({ format: 'jwk' }) });
const spkiOf = (key: KeyObject): string => key.export({ format: 'pem', type: 'spki' }).toString();
const ed = generateSigningKey('ed25519');
const p256 = generateSigningKey('ecdsa-p256-sha256');
const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey;
const p256Public = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const rsaJwk = jwkOf(rsa.publicKey);
const b64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

/** Every encoding of every point of small order, second spellings included (eight points, fourteen encodings). */
const LOW_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].flatMap((hex) => {
  const bytes = Buffer.from(hex, 'hex');
  const negative = Buffer.from(bytes);
  negative[31] = (negative[31] ?? 0) | 0x80;
  return [bytes, negative];
});

describe('Ed25519 keys with which anybody can sign', () => {
  test.each(LOW_ORDER.map((bytes) => [bytes.toString('hex'), bytes] as const))('%s', (_hex, bytes) => {
    expect(codeOf(() => importJwk({ kty: 'OKP', crv: 'Ed25519', x: b64(bytes) }))).toBe('key_low_order');
    expect(codeOf(() => importMultikey(Buffer.concat([Buffer.from([0xed, 0x01]), bytes])))).toBe(
      'key_low_order',
    );
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), bytes]);
    expect(codeOf(() => importSpki(spki))).toBe('key_low_order');
  });

  test('a coordinate that is not reduced is a second spelling of a key', () => {
    const bytes = Buffer.alloc(32, 0xff);
    expect(codeOf(() => importJwk({ kty: 'OKP', crv: 'Ed25519', x: b64(bytes) }))).toBe('key_low_order');
  });
});

describe('keys that are not what they should be', () => {
  test.each<[string, Jwk, KeyErrorCode, ImportOptions?]>([
    ['no type', {}, 'key_type_unsupported'],
    ['a type from the prototype', { kty: 'constructor' }, 'key_type_unsupported'],
    ['X25519', jwkOf(generateKeyPairSync('x25519').publicKey), 'key_curve_unsupported'],
    ['Ed448', jwkOf(generateKeyPairSync('ed448').publicKey), 'key_curve_unsupported'],
    ['P-521', jwkOf(p521), 'key_curve_unsupported'],
    [
      'secp256k1 for the JWA of another curve',
      { ...jwkOf(secp256k1), alg: 'ES256' },
      'key_algorithm_mismatch',
    ],
    ['secp256k1 off the curve', { ...jwkOf(secp256k1), y: jwkOf(p256Public).y }, 'key_malformed'],
    ['secp256k1 that says P-256', { ...jwkOf(secp256k1), crv: 'P-256' }, 'key_malformed'],
    ['P-256 that says P-384', { ...p256.publicJwk, crv: 'P-384' }, 'key_malformed'],
    ['a point that is not on the curve', { ...p256.publicJwk, y: p256.publicJwk.x }, 'key_malformed'],
    [
      'the point at the origin',
      { kty: 'EC', crv: 'P-256', x: b64(Buffer.alloc(32)), y: b64(Buffer.alloc(32)) },
      'key_malformed',
    ],
    ['a coordinate with a zero before it', { ...p256.publicJwk, x: b64(Buffer.alloc(33)) }, 'key_malformed'],
    ['no coordinate', { kty: 'EC', crv: 'P-256' }, 'key_malformed'],
    ['31 bytes', { kty: 'OKP', crv: 'Ed25519', x: b64(Buffer.alloc(31, 7)) }, 'key_malformed'],
    ['base64 with padding', { ...ed.publicJwk, x: `${ed.publicJwk.x}=` }, 'key_malformed'],
    ['base64 with pad bits', { kty: 'OKP', crv: 'Ed25519', x: `${'A'.repeat(42)}B` }, 'key_malformed'],
    ['a number where text belongs', { ...ed.publicJwk, x: 7 }, 'key_malformed'],
    ['the private half', { ...ed.privateJwk }, 'key_not_public'],
    ['for encryption', { ...ed.publicJwk, use: 'enc' }, 'key_not_for_signatures'],
    ['for signing only', { ...ed.publicJwk, key_ops: ['sign'] }, 'key_not_for_signatures'],
    ['operations that are no list', { ...ed.publicJwk, key_ops: 'verify' }, 'key_not_for_signatures'],
    ['another algorithm', { ...ed.publicJwk, alg: 'ES256' }, 'key_algorithm_mismatch'],
    ['RSA for SHA-256 PSS', { ...rsaJwk, alg: 'PS256' }, 'key_algorithm_mismatch'],
    ['RSA v1.5, not asked for', { ...rsaJwk, alg: 'RS256' }, 'key_algorithm_disabled'],
    ['RSA v1.5, named but not allowed', rsaJwk, 'key_algorithm_disabled', { algorithm: 'rsa-v1_5-sha256' }],
    ['RSA where Ed25519 is wanted', rsaJwk, 'key_algorithm_mismatch', { algorithm: 'ed25519' }],
    ['RSA with the exponent 1', { ...rsaJwk, e: 'AQ' }, 'key_too_weak'],
    ['RSA with the exponent 3', { ...rsaJwk, e: 'Aw' }, 'key_too_weak'],
    ['RSA with an even exponent', { ...rsaJwk, e: b64(Buffer.from([1, 0, 2])) }, 'key_too_weak'],
    ['RSA with a huge exponent', { ...rsaJwk, e: b64(Buffer.alloc(64, 0xff)) }, 'key_too_large'],
    ['RSA with a zero before it', { ...rsaJwk, e: b64(Buffer.from([0, 1, 0, 1])) }, 'key_malformed'],
    [
      'RSA of 1024 bits',
      jwkOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
      'key_too_weak',
    ],
    ['RSA of 8192 bits', { ...rsaJwk, n: b64(Buffer.alloc(1024, 0xff)) }, 'key_too_large'],
    ['a short secret', { kty: 'oct', k: b64(Buffer.alloc(31, 1)) }, 'key_too_weak'],
    [
      'a secret for another hash',
      { kty: 'oct', k: b64(Buffer.alloc(32, 1)), alg: 'HS512' },
      'key_algorithm_mismatch',
    ],
  ])('%s', (_name, jwk, code, options) => {
    expect(codeOf(() => importJwk(jwk, options))).toBe(code);
  });

  test.each<[string, () => unknown, KeyErrorCode]>([
    ['P-521 in PEM', () => importSpki(spkiOf(p521)), 'key_curve_unsupported'],
    [
      'DSA',
      () => importSpki(spkiOf(generateKeyPairSync('dsa', { modulusLength: 1024 }).publicKey)),
      'key_type_unsupported',
    ],
    ['RSA-PSS bound to SHA-256', () => importSpki(spkiOf(pss('sha256', 32))), 'key_algorithm_mismatch'],
    [
      'a private key',
      () => importSpki(rsa.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()),
      'key_not_public',
    ],
    [
      'PKCS 1',
      () => importSpki(rsa.publicKey.export({ format: 'pem', type: 'pkcs1' }).toString()),
      'key_malformed',
    ],
    ['no PEM', () => importSpki('hello'), 'key_malformed'],
    [
      'a broken PEM',
      () => importSpki('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'),
      'key_malformed',
    ],
    ['broken DER', () => importSpki(Buffer.alloc(10)), 'key_malformed'],
    ['no multikey', () => importMultikey(''), 'key_malformed'],
    ['not base58', () => importMultikey('z0OIl'), 'key_malformed'],
    ['another base', () => importMultikey('m7QE'), 'key_malformed'],
    ['a long one', () => importMultikey(`z${'1'.repeat(10_000)}`), 'key_too_large'],
    ['an empty secp256k1 multikey', () => importMultikey(Buffer.from('e701', 'hex')), 'key_malformed'],
    ['an account of no form', () => importAccount('0xABCDEF'), 'key_malformed'],
    [
      'another codec',
      () => importMultikey(base58btc.encode(Buffer.from('85240000', 'hex'))),
      'key_type_unsupported',
    ],
    [
      'a P-256 point off the curve',
      () => importMultikey(Buffer.from(`802402${'01'.repeat(32)}`, 'hex')),
      'key_malformed',
    ],
    [
      'a P-256 point of 65 bytes',
      () => importMultikey(Buffer.from(`802404${'01'.repeat(64)}`, 'hex')),
      'key_malformed',
    ],
    ['a short secret', () => importHmac(Buffer.alloc(31)), 'key_too_weak'],
    ['a public JWK to sign with', () => importSigningJwk(ed.publicJwk), 'key_malformed'],
    ['a weak key to sign with', () => importSigningJwk(weakPrivate()), 'key_too_weak'],
  ])('%s', (_name, run, code) => {
    expect(codeOf(run)).toBe(code);
  });
});

describe('the keys RFC 9421 prints', () => {
  const published = { kty: 'OKP', crv: 'Ed25519', x: 'JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs' };

  test('are refused on request, and only then', () => {
    expect(codeOf(() => importJwk(published, { refuseKnownTestKeys: true }))).toBe('key_published');
    expect(importJwk(published).algorithm).toBe('ed25519');
    expect(importJwk({ ...ed.publicJwk }, { refuseKnownTestKeys: true }).algorithm).toBe('ed25519');
  });
});

function pss(hashAlgorithm: string, saltLength: number): KeyObject {
  // @types/node has the salt's length as text; Node wants the number.
  const options = {
    modulusLength: 2048,
    hashAlgorithm,
    mgf1HashAlgorithm: hashAlgorithm,
    saltLength: saltLength as never,
  };
  return generateKeyPairSync('rsa-pss', options).publicKey as KeyObject;
}

function weakPrivate(): webcrypto.JsonWebKey {
  return generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ format: 'jwk' });
}
