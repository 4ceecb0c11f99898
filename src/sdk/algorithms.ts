/** The algorithms of RFC 9421, section 3.3, in the words of WebCrypto. */
import { SdkError } from './errors.ts';

/** Names of the HTTP Signature Algorithms registry that the SDK signs and verifies with. */
export type Algorithm =
  | 'ed25519'
  | 'ecdsa-p256-sha256'
  | 'ecdsa-p384-sha384'
  | 'rsa-pss-sha512'
  | 'hmac-sha256';

interface Recipe {
  /** For importKey and generateKey. */
  readonly key: { readonly name: string; readonly hash?: string; readonly namedCurve?: string };
  /** For sign and verify. */
  readonly use: { readonly name: string; readonly hash?: string; readonly saltLength?: number };
}

const RECIPES: Readonly<Record<Algorithm, Recipe>> = {
  ed25519: { key: { name: 'Ed25519' }, use: { name: 'Ed25519' } },
  'ecdsa-p256-sha256': {
    key: { name: 'ECDSA', namedCurve: 'P-256' },
    use: { name: 'ECDSA', hash: 'SHA-256' },
  },
  'ecdsa-p384-sha384': {
    key: { name: 'ECDSA', namedCurve: 'P-384' },
    use: { name: 'ECDSA', hash: 'SHA-384' },
  },
  // Section 3.3.1: salt of 64 bytes; MGF1 takes the hash of the key.
  'rsa-pss-sha512': { key: { name: 'RSA-PSS', hash: 'SHA-512' }, use: { name: 'RSA-PSS', saltLength: 64 } },
  'hmac-sha256': { key: { name: 'HMAC', hash: 'SHA-256' }, use: { name: 'HMAC' } },
};

export const ALGORITHMS: ReadonlySet<string> = new Set(Object.keys(RECIPES));

export function recipeOf(algorithm: Algorithm): Recipe {
  return RECIPES[algorithm];
}

/** @throws {SdkError} algorithm_unsupported */
export function algorithmNamed(name: string): Algorithm {
  if (isAlgorithm(name)) return name;
  throw new SdkError('algorithm_unsupported', `not ${name}`);
}

function isAlgorithm(name: string): name is Algorithm {
  return ALGORITHMS.has(name);
}

/**
 * The one algorithm a CryptoKey can be used with here.
 * @throws {SdkError} algorithm_unsupported, when it is made for something else, such as RSASSA-PKCS1-v1_5 or RSA-PSS with SHA-256
 */
export function algorithmOfCryptoKey(key: CryptoKey): Algorithm {
  const made: { name: string; namedCurve?: unknown; hash?: unknown } = key.algorithm;
  for (const algorithm of Object.keys(RECIPES)) {
    const name = algorithmNamed(algorithm);
    const { key: wanted } = RECIPES[name];
    if (
      made.name === wanted.name &&
      (wanted.namedCurve === undefined || made.namedCurve === wanted.namedCurve) &&
      (wanted.hash === undefined || nameOf(made.hash) === wanted.hash)
    )
      return name;
  }
  throw new SdkError('algorithm_unsupported', `the CryptoKey is for ${made.name}`);
}

function nameOf(hash: unknown): unknown {
  return typeof hash === 'object' && hash !== null && 'name' in hash ? hash.name : hash;
}

/** @throws {SdkError} webcrypto_missing */
export function subtle(): SubtleCrypto {
  const found: { readonly subtle?: SubtleCrypto } | undefined = globalThis.crypto;
  if (found?.subtle === undefined) throw new SdkError('webcrypto_missing');
  return found.subtle;
}
