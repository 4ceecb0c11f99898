/**
 * Keys from outside, checked once: type, curve, size, weak values. What comes out can be asked by any number of
 * requests; what is refused here never reaches one. Each way in ends in a JWK of the few members that matter,
 * so that one set of checks holds for all.
 */
import type { KeyObject, webcrypto } from 'node:crypto';
import { createPublicKey, createSecretKey, ECDH } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import type { EcdsaAlgorithm, RsaAlgorithm } from './algorithms.ts';
import { ECDSA, ecdsaVerifier, hmacVerifier, rsaVerifier } from './algorithms.ts';
import { checkEd25519Point, ed25519Verifier } from './ed25519.ts';
import { KeyError } from './errors.ts';
import type { SignatureAlgorithm, VerificationKey } from './key.ts';
import { plainRsaKey } from './rsa-pss-key.ts';
import { isPublishedTestKey, thumbprint } from './thumbprint.ts';

/** NIST SP 800-131A: less is disallowed. */
const RSA_BITS_MIN = 2048;
/** A stranger's key decides what verifying costs us; the cost grows with the square. */
const RSA_BITS_MAX = 4096;
/** An exponent of 1 makes every message its own signature; 3 has a history of forgeries. */
const RSA_EXPONENT_MIN = 65_537n;
/** A large exponent is no safer and makes each verification as slow as signing. */
const RSA_EXPONENT_MAX = 0xffff_ffffn;
/** As long as the hash (RFC 2104, section 3). */
const HMAC_BYTES_MIN = 32;
/** The longest Multikey we accept, P-384, is 51 bytes, 70 characters; decoding base58 is quadratic. */
const MULTIBASE_LENGTH_MAX = 128;

export interface ImportOptions {
  /** Lets RSA keys whose JWK says RS256, or for which `algorithm` says so, verify rsa-v1_5-sha256. Off by default. */
  readonly allowRsaV15?: boolean;
  /** The algorithm the key must have; without it an RSA key is for rsa-pss-sha512. */
  readonly algorithm?: SignatureAlgorithm;
  /** Refuses the keys whose private halves RFC 9421 prints. */
  readonly refuseKnownTestKeys?: boolean;
}

/** A JWK as it was parsed from somewhere: nothing is known of its members. */
export type UncheckedJwk = Readonly<Record<string, unknown>>;

/**
 * A public JWK, or a symmetric one (`kty` oct), which a caller who reads public documents has to refuse himself.
 * @throws {KeyError} any of its codes
 */
export function importJwk(jwk: UncheckedJwk, options: ImportOptions = {}): VerificationKey {
  checkPurpose(jwk);
  switch (jwk.kty) {
    case 'OKP':
      return importOkp(jwk, options);
    case 'EC':
      return importEc(jwk, options);
    case 'RSA':
      return importRsa(jwk, options);
    case 'oct':
      checkJwkAlgorithm(jwk, ['HS256']);
      return importHmac(bytesOf(jwk.k), options);
    default:
      throw new KeyError('key_type_unsupported');
  }
}

/**
 * A Multikey: its bytes (multicodec prefix, then the key), or those in multibase (`z` base58btc, `u` base64url).
 * @throws {KeyError} key_malformed, key_type_unsupported, key_secp256k1_unsupported, key_low_order, …
 */
export function importMultikey(multikey: Uint8Array | string, options: ImportOptions = {}): VerificationKey {
  const bytes = typeof multikey === 'string' ? decodeMultibase(multikey) : Buffer.from(multikey);
  const key = bytes.subarray(2);
  // Multicodec prefixes as varints: ed25519-pub, p256-pub, p384-pub, secp256k1-pub.
  switch (bytes.length < 2 ? -1 : bytes.readUInt16BE(0)) {
    case 0xed01:
      return importOkp({ kty: 'OKP', crv: 'Ed25519', x: key.toString('base64url') }, options);
    case 0x8024:
      return importEc(uncompressed(key, 'ecdsa-p256-sha256'), options);
    case 0x8124:
      return importEc(uncompressed(key, 'ecdsa-p384-sha384'), options);
    case 0xe701:
      throw new KeyError('key_secp256k1_unsupported');
    default:
      throw new KeyError(bytes.length < 2 ? 'key_malformed' : 'key_type_unsupported');
  }
}

/**
 * A SubjectPublicKeyInfo, as PEM (`BEGIN PUBLIC KEY`) or DER.
 * @throws {KeyError} any of its codes
 */
export function importSpki(spki: string | Uint8Array, options: ImportOptions = {}): VerificationKey {
  let key: KeyObject;
  try {
    if (typeof spki === 'string') {
      // createPublicKey would derive a public key from a private one, and take one out of a certificate.
      if (spki.includes('PRIVATE KEY-')) throw new KeyError('key_not_public');
      if (!spki.trimStart().startsWith('-----BEGIN PUBLIC KEY-----')) throw new KeyError('key_malformed');
      key = createPublicKey(spki);
    } else {
      key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    }
  } catch (error) {
    throw error instanceof KeyError ? error : new KeyError('key_malformed', error);
  }
  return importPublicKey(key, options);
}

/** A public KeyObject. @throws {KeyError} any of its codes */
export function importPublicKey(key: KeyObject, options: ImportOptions = {}): VerificationKey {
  let jwk: webcrypto.JsonWebKey;
  try {
    jwk = (key.asymmetricKeyType === 'rsa-pss' ? plainRsaKey(key) : key).export({ format: 'jwk' });
  } catch (error) {
    throw error instanceof KeyError ? error : new KeyError('key_type_unsupported', error);
  }
  return importJwk({ ...jwk }, options);
}

/** A shared secret of at least 32 bytes. @throws {KeyError} key_too_weak, key_algorithm_mismatch, key_published */
export function importHmac(secret: Uint8Array, options: ImportOptions = {}): VerificationKey {
  if (secret.length < HMAC_BYTES_MIN) throw new KeyError('key_too_weak');
  const copy = Buffer.from(secret);
  const jwk = { kty: 'oct', k: copy.toString('base64url') };
  return verificationKey('hmac-sha256', jwk, options, () => hmacVerifier(createSecretKey(copy)));
}

function importOkp(jwk: UncheckedJwk, options: ImportOptions): VerificationKey {
  if (jwk.crv !== 'Ed25519') throw new KeyError('key_curve_unsupported');
  checkJwkAlgorithm(jwk, ['EdDSA', 'Ed25519']);
  const publicKey = bytesOf(jwk.x);
  checkEd25519Point(publicKey);
  const checked = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') };
  return verificationKey('ed25519', checked, options, () => ed25519Verifier(publicKey));
}

function importEc(jwk: UncheckedJwk, options: ImportOptions): VerificationKey {
  const algorithm = ecdsaAlgorithm(jwk.crv);
  checkJwkAlgorithm(jwk, [algorithm === 'ecdsa-p256-sha256' ? 'ES256' : 'ES384']);
  const { crv, coordinateBytes } = ECDSA[algorithm];
  const [x, y] = [bytesOf(jwk.x), bytesOf(jwk.y)];
  // RFC 7518, section 6.2.1.2: exactly as long as the field, so that a key has one thumbprint.
  if (x.length !== coordinateBytes || y.length !== coordinateBytes) throw new KeyError('key_malformed');
  const checked = { kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') };
  const key = readJwk(checked);
  return verificationKey(algorithm, checked, options, () => ecdsaVerifier(key, algorithm));
}

function importRsa(jwk: UncheckedJwk, options: ImportOptions): VerificationKey {
  const [n, e] = [bytesOf(jwk.n), bytesOf(jwk.e)];
  // RFC 7518, section 6.3.1: no leading zero octets, so that a key has one thumbprint.
  if (n[0] === 0 || e[0] === 0) throw new KeyError('key_malformed');
  const algorithm = rsaAlgorithm(jwk, options);
  const checked = { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') };
  const key = readJwk(checked);
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < RSA_BITS_MIN || publicExponent < RSA_EXPONENT_MIN || publicExponent % 2n === 0n) {
    throw new KeyError('key_too_weak');
  }
  if (modulusLength > RSA_BITS_MAX || publicExponent > RSA_EXPONENT_MAX) throw new KeyError('key_too_large');
  return verificationKey(algorithm, checked, options, () =>
    rsaVerifier(key, algorithm, Math.ceil(modulusLength / 8)),
  );
}

function rsaAlgorithm(jwk: UncheckedJwk, options: ImportOptions): RsaAlgorithm {
  checkJwkAlgorithm(jwk, ['PS512', 'RS256']);
  const v15 = jwk.alg === 'RS256' || (jwk.alg === undefined && options.algorithm === 'rsa-v1_5-sha256');
  if (!v15) return 'rsa-pss-sha512';
  if (options.allowRsaV15 !== true) throw new KeyError('key_algorithm_disabled');
  return 'rsa-v1_5-sha256';
}

function ecdsaAlgorithm(crv: unknown): EcdsaAlgorithm {
  if (crv === 'P-256') return 'ecdsa-p256-sha256';
  if (crv === 'P-384') return 'ecdsa-p384-sha384';
  throw new KeyError(crv === 'secp256k1' ? 'key_secp256k1_unsupported' : 'key_curve_unsupported');
}

function verificationKey(
  algorithm: SignatureAlgorithm,
  jwk: UncheckedJwk,
  options: ImportOptions,
  verifier: () => VerificationKey['verify'],
): VerificationKey {
  if (options.algorithm !== undefined && options.algorithm !== algorithm)
    throw new KeyError('key_algorithm_mismatch');
  const name = thumbprint(jwk);
  if (options.refuseKnownTestKeys === true && isPublishedTestKey(name)) throw new KeyError('key_published');
  return { algorithm, thumbprint: name, verify: verifier() };
}

/** RFC 7517, sections 4.2 and 4.3: what a key says of its use is kept to; and private members are not ours to see. */
function checkPurpose(jwk: UncheckedJwk): void {
  if (Object.hasOwn(jwk, 'd') || Object.hasOwn(jwk, 'p')) throw new KeyError('key_not_public');
  const notForSignatures = jwk.use !== undefined && jwk.use !== 'sig';
  const operations = jwk.key_ops;
  const notForVerifying =
    operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'));
  if (notForSignatures || notForVerifying) throw new KeyError('key_not_for_signatures');
}

function checkJwkAlgorithm(jwk: UncheckedJwk, allowed: readonly string[]): void {
  if (jwk.alg === undefined) return;
  if (typeof jwk.alg !== 'string' || !allowed.includes(jwk.alg)) throw new KeyError('key_algorithm_mismatch');
}

/** Strict base64url (RFC 7515, section 2): no padding, pad bits zero. */
function bytesOf(value: unknown): Buffer {
  if (typeof value !== 'string') throw new KeyError('key_malformed');
  const bytes = Buffer.from(value, 'base64url');
  if (bytes.length === 0 || bytes.toString('base64url') !== value) throw new KeyError('key_malformed');
  return bytes;
}

/** OpenSSL refuses points that are not on their curve here. */
function readJwk(jwk: webcrypto.JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (error) {
    throw new KeyError('key_malformed', error);
  }
}

function decodeMultibase(text: string): Buffer {
  if (text.length > MULTIBASE_LENGTH_MAX) throw new KeyError('key_too_large');
  if (text.startsWith('u')) return bytesOf(text.slice(1));
  try {
    return Buffer.from(base58btc.decode(text as `z${string}`));
  } catch (error) {
    throw new KeyError('key_malformed', error);
  }
}

/** Multikey has EC points compressed; a JWK wants both coordinates. */
function uncompressed(point: Buffer, algorithm: EcdsaAlgorithm): UncheckedJwk {
  const { crv, opensslCurve, coordinateBytes } = ECDSA[algorithm];
  if (point.length !== coordinateBytes + 1) throw new KeyError('key_malformed');
  let whole: Buffer;
  try {
    whole = ECDH.convertKey(point, opensslCurve, undefined, undefined, 'uncompressed') as Buffer;
  } catch (error) {
    throw new KeyError('key_malformed', error);
  }
  const x = whole.subarray(1, 1 + coordinateBytes).toString('base64url');
  const y = whole.subarray(1 + coordinateBytes).toString('base64url');
  return { kty: 'EC', crv, x, y };
}
