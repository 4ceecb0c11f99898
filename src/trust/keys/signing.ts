/** Keys of our own and of the SDK's users: the private halves, and new ones. */
import type { KeyObject, webcrypto } from 'node:crypto';
import { createPrivateKey, createPublicKey, createSecretKey, ECDH, generateKeyPairSync } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { ECDSA, ecdsaSigner, hmacSigner, rsaSigner } from './algorithms.ts';
import { ed25519Signer } from './ed25519.ts';
import { KeyError } from './errors.ts';
import { importHmac, importPublicKey } from './import.ts';
import type { SignatureAlgorithm, SigningKey } from './key.ts';
import type { ImportOptions } from './public-jwk.ts';
import { secp256k1Signer } from './secp256k1.ts';

/** What lasts until it is replaced; 2048 is the least that is accepted. */
const NEW_RSA_BITS = 3072;

type SigningOptions = Pick<ImportOptions, 'algorithm' | 'allowRsaV15'>;

/**
 * A private KeyObject; its public half has to pass the checks every verifier makes.
 * @throws {KeyError} any of its codes
 */
export function signingKey(key: KeyObject, options: SigningOptions = {}): SigningKey {
  if (key.type !== 'private') throw new KeyError('key_malformed');
  const { algorithm } = importPublicKey(createPublicKey(key), options);
  return { algorithm, sign: signer(key, algorithm) };
}

/** A private JWK. @throws {KeyError} any of its codes */
export function importSigningJwk(jwk: webcrypto.JsonWebKey, options: SigningOptions = {}): SigningKey {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: jwk, format: 'jwk' });
  } catch (error) {
    throw new KeyError('key_malformed', error);
  }
  return signingKey(key, options);
}

/** A shared secret of at least 32 bytes. @throws {KeyError} key_too_weak */
export function hmacSigningKey(secret: Uint8Array): SigningKey {
  const { algorithm } = importHmac(secret);
  return { algorithm, sign: hmacSigner(createSecretKey(secret)) };
}

function signer(key: KeyObject, algorithm: SignatureAlgorithm): SigningKey['sign'] {
  switch (algorithm) {
    case 'ed25519': {
      const { d = '', x = '' } = key.export({ format: 'jwk' });
      return ed25519Signer(Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url'));
    }
    case 'ecdsa-p256-sha256':
    case 'ecdsa-p384-sha384':
      return ecdsaSigner(key, algorithm);
    case 'rsa-pss-sha512':
    case 'rsa-v1_5-sha256':
      return rsaSigner(key, algorithm);
    case 'ecdsa-secp256k1-sha256':
      return secp256k1Signer(key, 'sha256');
    default:
      throw new KeyError('key_type_unsupported');
  }
}

export interface NewKey {
  readonly signing: SigningKey;
  readonly publicJwk: webcrypto.JsonWebKey;
  readonly privateJwk: webcrypto.JsonWebKey;
  /** Multibase Multikey of the public half; null for RSA, which has none worth using. */
  readonly multikey: string | null;
}

/** @throws {KeyError} key_type_unsupported for hmac-sha256, whose secret is the caller's to make, and for Keccak-256 */
export function generateSigningKey(algorithm: SignatureAlgorithm): NewKey {
  const { privateKey, publicKey } = generate(algorithm);
  const publicJwk = publicKey.export({ format: 'jwk' });
  return {
    signing: signingKey(privateKey, { algorithm, allowRsaV15: algorithm === 'rsa-v1_5-sha256' }),
    publicJwk,
    privateJwk: privateKey.export({ format: 'jwk' }),
    multikey: multikeyOf(algorithm, publicJwk),
  };
}

function generate(algorithm: SignatureAlgorithm): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (algorithm) {
    case 'ed25519':
      return generateKeyPairSync('ed25519');
    case 'ecdsa-p256-sha256':
    case 'ecdsa-p384-sha384':
      return generateKeyPairSync('ec', { namedCurve: ECDSA[algorithm].crv });
    case 'ecdsa-secp256k1-sha256':
      return generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    case 'rsa-pss-sha512':
    case 'rsa-v1_5-sha256':
      return generateKeyPairSync('rsa', { modulusLength: NEW_RSA_BITS });
    default:
      throw new KeyError('key_type_unsupported');
  }
}

function multikeyOf(algorithm: SignatureAlgorithm, jwk: webcrypto.JsonWebKey): string | null {
  const x = Buffer.from(jwk.x ?? '', 'base64url');
  const y = Buffer.from(jwk.y ?? '', 'base64url');
  if (algorithm === 'ed25519') return base58btc.encode(Buffer.concat([Buffer.from([0xed, 0x01]), x]));
  if (algorithm === 'ecdsa-p256-sha256')
    return base58btc.encode(compressed([0x80, 0x24], x, y, 'prime256v1'));
  if (algorithm === 'ecdsa-p384-sha384') return base58btc.encode(compressed([0x81, 0x24], x, y, 'secp384r1'));
  if (algorithm === 'ecdsa-secp256k1-sha256')
    return base58btc.encode(compressed([0xe7, 0x01], x, y, 'secp256k1'));
  return null;
}

function compressed(prefix: readonly number[], x: Buffer, y: Buffer, opensslCurve: string): Buffer {
  const whole = Buffer.concat([Buffer.from([0x04]), x, y]);
  const point = ECDH.convertKey(whole, opensslCurve, undefined, undefined, 'compressed') as Buffer;
  return Buffer.concat([Buffer.from(prefix), point]);
}
