/** Whoever signs: a key, and the name under which the other side finds it. */
import { encodeBase64Url } from '../trust/wire/bytes.ts';
import { type Algorithm, algorithmNamed, recipeOf, subtle } from './algorithms.ts';
import { didOfPublic } from './did.ts';
import { SdkError } from './errors.ts';
import type { Jwk } from './jwk.ts';
import { importPrivateKey, type PrivateKey, type PrivateKeyInput } from './private-key.ts';
import { exportedJwk, owned } from './public-key.ts';

/** Signs with one key. Yours may ask a KMS or an HSM instead: it needs these three members and no more. */
export interface Signer {
  /** What the verifier finds the key by: an absolute DID URL such as `did:key:z6Mk…#z6Mk…`. */
  readonly keyId: string;
  readonly algorithm: Algorithm;
  sign(data: Uint8Array): Promise<Uint8Array>;
}

export interface SignerOptions {
  /** Left out, it is the did:key of the key (did:jwk for RSA). */
  readonly keyId?: string | undefined;
  readonly privateKey: PrivateKeyInput;
  /** The key says which; given, it must be the key's. */
  readonly algorithm?: Algorithm | undefined;
}

/** Gateways look at no longer one. */
const KEYID_LENGTH_MAX = 512;
/** A gateway accepts a did:jwk of RSA with 2,048 bits; a longer key's id exceeds what it reads as a keyid. */
const NEW_RSA_BITS = 2_048;
const RSA_EXPONENT = Uint8Array.from([1, 0, 1]);

/**
 * A signer from a private JWK, a PKCS #8 PEM or a CryptoKey. Faults of the key are found here, not at the first request.
 * @throws {SdkError} keyid_missing, keyid_invalid, keyid_mismatch, every key_* code, algorithm_unsupported,
 * algorithm_unavailable, webcrypto_missing
 */
export async function createSigner(options: SignerOptions): Promise<Signer> {
  const wanted = options.algorithm === undefined ? undefined : algorithmNamed(options.algorithm);
  const privateKey = await importPrivateKey(options.privateKey, wanted);
  const { algorithm, key } = privateKey;
  const { use } = recipeOf(algorithm);
  return {
    keyId: keyIdFor(options.keyId, privateKey),
    algorithm,
    sign: async (data) => new Uint8Array(await subtle().sign(use, key, owned(data))),
  };
}

function keyIdFor(keyId: string | undefined, { algorithm, publicHalf }: PrivateKey): string {
  if (keyId === undefined) {
    if (publicHalf === null) throw new SdkError('keyid_missing', `${algorithm} key`);
    return didOfPublic(publicHalf).keyId;
  }
  if (typeof keyId !== 'string' || !/^[!-~]+$/.test(keyId) || keyId.length > KEYID_LENGTH_MAX)
    throw new SdkError('keyid_invalid');
  const did = keyId.split('#', 1)[0];
  const isOfKey = keyId.startsWith('did:key:') || keyId.startsWith('did:jwk:');
  if (!isOfKey || publicHalf === null) return keyId;
  const own = didOfPublic(publicHalf);
  // A did:jwk may be written in several ways; only a did:key can be told to be another's.
  const differs = keyId.startsWith('did:key:') && did !== own.did;
  if (differs) throw new SdkError('keyid_mismatch', `the key is ${own.did}`);
  return keyId;
}

export interface GeneratedKeyPair {
  readonly algorithm: Algorithm;
  readonly did: string;
  readonly keyId: string;
  readonly publicJwk: Jwk;
  /** To be stored as a secret. */
  readonly privateJwk: Jwk;
}

/**
 * A new key pair and the DID that names it.
 * @throws {SdkError} algorithm_unsupported, also for hmac-sha256, whose secret is no pair; algorithm_unavailable
 */
export async function generateKeyPair(algorithm: Algorithm = 'ed25519'): Promise<GeneratedKeyPair> {
  const name = algorithmNamed(algorithm);
  if (name === 'hmac-sha256') throw new SdkError('algorithm_unsupported', 'a shared secret is no key pair');
  const privateJwk = await exportedJwk(await newPrivateKey(name));
  const { publicHalf } = await importPrivateKey(privateJwk, name);
  if (publicHalf === null) throw new SdkError('key_malformed');
  return { algorithm: name, ...didOfPublic(publicHalf), publicJwk: publicHalf.jwk, privateJwk };
}

async function newPrivateKey(algorithm: Algorithm): Promise<CryptoKey> {
  const { key } = recipeOf(algorithm);
  const rsa = algorithm === 'rsa-pss-sha512';
  const recipe = rsa ? { ...key, modulusLength: NEW_RSA_BITS, publicExponent: RSA_EXPONENT } : key;
  try {
    const made = await subtle().generateKey(recipe, true, ['sign', 'verify']);
    if ('privateKey' in made) return made.privateKey;
  } catch (error) {
    if (error instanceof SdkError) throw error;
    throw new SdkError('algorithm_unavailable', algorithm, error);
  }
  throw new SdkError('algorithm_unavailable', algorithm);
}

/** 128 random bits: a nonce for one request. */
export function newNonce(): string {
  return encodeBase64Url(globalThis.crypto.getRandomValues(new Uint8Array(16)));
}
