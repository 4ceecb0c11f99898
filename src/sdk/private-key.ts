/** Private keys in the forms people have them, as a CryptoKey that cannot be read back. */
import type { CheckedJwk } from '../trust/keys/public-jwk.ts';
import { decodeBase64Url, encodeBase64Url } from '../trust/wire/bytes.ts';
import { type Algorithm, algorithmNamed, algorithmOfCryptoKey, recipeOf, subtle } from './algorithms.ts';
import { readPem, readPkcs8 } from './der.ts';
import { SdkError } from './errors.ts';
import { type Jwk, membersOf, publicMembers } from './jwk.ts';
import { checkedPublicJwk, exportedJwk, importing, isCryptoKey, verifyingKey } from './public-key.ts';

/** A private JWK (also as JSON text; `kty: oct` for a shared secret), a PEM with `BEGIN PRIVATE KEY`, or a CryptoKey. */
export type PrivateKeyInput = Jwk | string | CryptoKey;

export interface PrivateKey {
  readonly algorithm: Algorithm;
  readonly key: CryptoKey;
  /** The public half; null for a shared secret and for a CryptoKey that is not extractable. */
  readonly publicHalf: CheckedJwk | null;
}

/** Members of a private JWK, by what they are needed for. */
const PRIVATE_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  OKP: ['d'],
  EC: ['d'],
  RSA: ['d', 'p', 'q', 'dp', 'dq', 'qi'],
};

/** What the two halves of a key are tried with. */
const PROBE = new TextEncoder().encode('sage-gateway: do these halves belong together?');

/** @throws {SdkError} every key_* code, algorithm_unsupported, algorithm_unavailable, webcrypto_missing */
export async function importPrivateKey(input: PrivateKeyInput, algorithm?: Algorithm): Promise<PrivateKey> {
  if (isCryptoKey(input)) return fromCryptoKey(input, algorithm);
  if (typeof input !== 'string') return fromJwk(membersOf(input), algorithm);
  const text = input.trim();
  if (text.startsWith('{')) return fromJwk(parseJwk(text), algorithm);
  if (!text.startsWith('-----BEGIN ')) throw new SdkError('key_malformed', 'neither PEM nor a JWK');
  return fromPem(text, algorithm);
}

function parseJwk(text: string): Readonly<Record<string, unknown>> | null {
  try {
    return membersOf(JSON.parse(text));
  } catch {
    // The parser's own words may quote the key.
    throw new SdkError('key_malformed', 'the JWK is not valid JSON');
  }
}

async function fromPem(pem: string, wanted: Algorithm | undefined): Promise<PrivateKey> {
  const { algorithm, der } = readPkcs8(readPem(pem, 'PRIVATE KEY'));
  mustBe(algorithm, wanted);
  const key = await importing(algorithm, () =>
    subtle().importKey('pkcs8', der, recipeOf(algorithm).key, true, ['sign']),
  );
  // By way of its JWK, so that a PEM passes the same checks; and the key that is kept cannot be exported.
  return fromJwk(await exportedJwk(key), algorithm);
}

async function fromJwk(
  jwk: Readonly<Record<string, unknown>> | null,
  wanted: Algorithm | undefined,
): Promise<PrivateKey> {
  if (jwk === null) throw new SdkError('key_malformed', 'not a JWK, PEM text or CryptoKey');
  const operations = jwk.key_ops;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('sign')))
    throw new SdkError('key_not_for_signatures');
  const checked = await checkedPublicJwk(
    publicMembers(jwk),
    wanted === undefined ? {} : { algorithm: wanted },
  );
  const algorithm = algorithmNamed(checked.algorithm);
  const { key: importAs } = recipeOf(algorithm);
  if (checked.algorithm === 'hmac-sha256') {
    const key = await importing(algorithm, () =>
      subtle().importKey('jwk', checked.jwk, importAs, false, ['sign']),
    );
    return { algorithm, key, publicHalf: null };
  }
  const members = { ...checked.jwk, ...privateMembers(jwk, checked.jwk.kty) };
  // First the public half alone, so that what fails afterwards is how the two fit.
  const verifying = await verifyingKey(checked);
  let key: CryptoKey;
  try {
    key = await subtle().importKey('jwk', members, importAs, false, ['sign']);
    const signature = await subtle().sign(recipeOf(algorithm).use, key, PROBE);
    // A JWK may carry the public half of another key, and every signature would be refused far from here.
    if (await verifying.verify(PROBE, new Uint8Array(signature)))
      return { algorithm, key, publicHalf: checked };
  } catch (error) {
    throw new SdkError('key_halves_differ', undefined, error);
  }
  throw new SdkError('key_halves_differ');
}

function privateMembers(jwk: Readonly<Record<string, unknown>>, kty: string): Record<string, string> {
  const members: Record<string, string> = {};
  if (jwk.d === undefined) throw new SdkError('key_not_private', 'the JWK has no member d');
  for (const name of PRIVATE_MEMBERS[kty] ?? []) {
    const value = jwk[name];
    const bytes = typeof value === 'string' ? decodeBase64Url(value) : null;
    if (bytes === null || bytes.length === 0)
      throw new SdkError('key_malformed', `member ${name} of the JWK`);
    members[name] = encodeBase64Url(bytes);
  }
  return members;
}

async function fromCryptoKey(key: CryptoKey, wanted: Algorithm | undefined): Promise<PrivateKey> {
  const algorithm = algorithmOfCryptoKey(key);
  mustBe(algorithm, wanted);
  if (key.type === 'public') throw new SdkError('key_not_private');
  if (!key.usages.includes('sign')) throw new SdkError('key_not_for_signatures');
  if (key.type === 'secret' || !key.extractable) return { algorithm, key, publicHalf: null };
  const publicHalf = await checkedPublicJwk(publicMembers(await exportedJwk(key)), { algorithm });
  return { algorithm, key, publicHalf };
}

function mustBe(algorithm: Algorithm, wanted: Algorithm | undefined): void {
  if (wanted !== undefined && wanted !== algorithm)
    throw new SdkError('key_algorithm_mismatch', `the key is for ${algorithm}, not ${wanted}`);
}
