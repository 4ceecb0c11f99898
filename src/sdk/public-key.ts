/** Public keys from outside, checked by the gateway's own rules, then verified with by WebCrypto. */
import { KeyError } from '../trust/keys/errors.ts';
import { type CheckedJwk, checkJwk } from '../trust/keys/public-jwk.ts';
import { thumbprintText } from '../trust/keys/thumbprint-text.ts';
import { type Bytes, encodeBase64Url } from '../trust/wire/bytes.ts';
import { type Algorithm, algorithmNamed, algorithmOfCryptoKey, recipeOf, subtle } from './algorithms.ts';
import { readPem, readSpki } from './der.ts';
import { SdkError, sdkErrorOf } from './errors.ts';
import { type Jwk, membersOf } from './jwk.ts';

/** A key that has been checked, and verifies. */
export interface VerifyingKey {
  readonly algorithm: Algorithm;
  /** RFC 7638 SHA-256 thumbprint, base64url: tells a key from the one that took its place. */
  readonly thumbprint: string;
  /** False for everything that is not this key's signature over `data`. */
  verify(data: Uint8Array, signature: Uint8Array): Promise<boolean>;
}

/** A public JWK (or `kty: oct` for a shared secret), a PEM with `BEGIN PUBLIC KEY`, a CryptoKey, or a key already imported. */
export type PublicKeyInput = Jwk | string | CryptoKey | VerifyingKey;

export function isCryptoKey(value: unknown): value is CryptoKey {
  return typeof CryptoKey === 'function' && value instanceof CryptoKey;
}

/**
 * Checks type, curve, size and weak values once, so that verifying is all that is left.
 * @throws {SdkError} every key_* code, algorithm_unsupported, algorithm_unavailable, webcrypto_missing
 */
export async function importPublicKey(
  input: PublicKeyInput,
  options: { readonly algorithm?: Algorithm } = {},
): Promise<VerifyingKey> {
  if (isVerifyingKey(input)) return input;
  return verifyingKey(await checkedPublicJwk(input, options));
}

function isVerifyingKey(input: PublicKeyInput): input is VerifyingKey {
  return typeof input === 'object' && 'verify' in input && typeof input.verify === 'function';
}

/** The checked members of a public key in any form. @throws {SdkError} as `importPublicKey` does */
export async function checkedPublicJwk(
  input: Jwk | string | CryptoKey,
  options: { readonly algorithm?: Algorithm } = {},
): Promise<CheckedJwk> {
  const jwk = await publicJwkOf(input);
  try {
    return checkJwk(jwk, options.algorithm === undefined ? {} : { algorithm: options.algorithm });
  } catch (error) {
    throw error instanceof KeyError ? sdkErrorOf(error) : error;
  }
}

async function publicJwkOf(input: Jwk | string | CryptoKey): Promise<Readonly<Record<string, unknown>>> {
  if (typeof input === 'string') {
    const { algorithm, der } = readSpki(readPem(input, 'PUBLIC KEY'));
    const key = await importing(algorithm, () =>
      subtle().importKey('spki', der, recipeOf(algorithm).key, true, ['verify']),
    );
    return exportedJwk(key);
  }
  if (!isCryptoKey(input)) {
    const members = membersOf(input);
    if (members === null) throw new SdkError('key_malformed', 'not a JWK, PEM text or CryptoKey');
    return members;
  }
  algorithmOfCryptoKey(input);
  if (input.type === 'private') throw new SdkError('key_not_public');
  if (!input.usages.includes('verify')) throw new SdkError('key_not_for_signatures');
  return exportedJwk(input);
}

/** As a JWK without what WebCrypto adds of its own. @throws {SdkError} key_not_exportable */
export async function exportedJwk(key: CryptoKey): Promise<Readonly<Record<string, unknown>>> {
  if (!key.extractable) throw new SdkError('key_not_exportable');
  const { alg: _alg, ext: _ext, key_ops: _operations, ...jwk } = await subtle().exportKey('jwk', key);
  return { ...jwk };
}

/** @throws {SdkError} key_malformed, algorithm_unavailable */
export async function verifyingKey(checked: CheckedJwk): Promise<VerifyingKey> {
  const algorithm = algorithmNamed(checked.algorithm);
  const { key: importAs, use } = recipeOf(algorithm);
  const key = await importing(algorithm, () =>
    subtle().importKey('jwk', checked.jwk, importAs, false, ['verify']),
  );
  return {
    algorithm,
    thumbprint: await thumbprintOf(checked),
    verify: (data, signature) => subtle().verify(use, key, owned(signature), owned(data)),
  };
}

/** RFC 7638, SHA-256, base64url. */
export async function thumbprintOf({ jwk }: CheckedJwk): Promise<string> {
  const digest = await subtle().digest('SHA-256', new TextEncoder().encode(thumbprintText(jwk)));
  return encodeBase64Url(new Uint8Array(digest));
}

/** WebCrypto takes no shared memory; what already lies in its own is not copied. */
export function owned(bytes: Uint8Array): Bytes {
  return bytes.buffer instanceof ArrayBuffer
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : Uint8Array.from(bytes);
}

/** Runs an import and says in our words why it failed. */
export async function importing(algorithm: Algorithm, run: () => Promise<CryptoKey>): Promise<CryptoKey> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof SdkError) throw error;
    // The cause is left out of the message: an engine may quote the key in it.
    if (error instanceof Error && error.name === 'NotSupportedError')
      throw new SdkError('algorithm_unavailable', algorithm, error);
    throw new SdkError('key_malformed', `it does not import as ${algorithm}`, error);
  }
}
