/**
 * The checks of a public JWK that need no cryptography: type, curve, size, weak values, purpose. The gateway (on
 * node:crypto) and the SDK (on WebCrypto) both go through them, so what one accepts the other does; what is left to
 * their engines is whether a point lies on its curve.
 */
import { type Bytes, decodeBase64Url } from '../wire/bytes.ts';
import { checkEd25519Point } from './ed25519-point.ts';
import { KeyError } from './errors.ts';
import type { SignatureAlgorithm } from './key.ts';

/** NIST SP 800-131A: less is disallowed. */
const RSA_BITS_MIN = 2048;
/** A stranger's key decides what verifying costs us; the cost grows with the square. */
const RSA_BITS_MAX = 4096;
/** An exponent of 1 makes every message its own signature; 3 has a history of forgeries. */
const RSA_EXPONENT_MIN = 65_537;
/** A larger exponent than four bytes hold is no safer and makes each verification as slow as signing. */
const RSA_EXPONENT_BYTES_MAX = 4;
/** As long as the hash (RFC 2104, section 3). */
const HMAC_BYTES_MIN = 32;

/** By curve name: the algorithm its keys have here, the JWA name of it, and how long a coordinate is. */
const CURVES = {
  'P-256': ['ecdsa-p256-sha256', 'ES256', 32],
  'P-384': ['ecdsa-p384-sha384', 'ES384', 48],
  secp256k1: ['ecdsa-secp256k1-sha256', 'ES256K', 32],
} as const;

export interface ImportOptions {
  /** Lets RSA keys whose JWK says RS256, or for which `algorithm` says so, verify rsa-v1_5-sha256. Off by default. */
  readonly allowRsaV15?: boolean;
  /** The algorithm the key must have; without it an RSA key is for rsa-pss-sha512. */
  readonly algorithm?: SignatureAlgorithm;
  /** Takes keys on secp256k1, which not every engine can verify with. */
  readonly secp256k1?: boolean;
  /** Refuses the keys whose private halves are printed where developers copy from. */
  readonly refuseKnownTestKeys?: boolean;
}

/** A JWK as it was parsed from somewhere: nothing is known of its members. */
export type UncheckedJwk = Readonly<Record<string, unknown>>;

/** The members that make the key, and no others, in their one spelling. */
export type CheckedJwk =
  | {
      readonly algorithm: 'ed25519';
      readonly jwk: { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string };
      readonly publicKey: Bytes;
    }
  | {
      readonly algorithm: 'ecdsa-p256-sha256' | 'ecdsa-p384-sha384' | 'ecdsa-secp256k1-sha256';
      readonly jwk: { readonly kty: 'EC'; readonly crv: string; readonly x: string; readonly y: string };
    }
  | {
      readonly algorithm: 'rsa-pss-sha512' | 'rsa-v1_5-sha256';
      readonly jwk: { readonly kty: 'RSA'; readonly n: string; readonly e: string };
      readonly modulusBytes: number;
    }
  | {
      readonly algorithm: 'hmac-sha256';
      readonly jwk: { readonly kty: 'oct'; readonly k: string };
      readonly secret: Bytes;
    };

/**
 * A public JWK, or a symmetric one (`kty` oct), which a caller who reads public documents has to refuse himself.
 * @throws {KeyError} any of its codes but key_published
 */
export function checkJwk(jwk: UncheckedJwk, options: ImportOptions = {}): CheckedJwk {
  checkPurpose(jwk);
  const checked = checkByType(jwk, options);
  if (options.algorithm !== undefined && options.algorithm !== checked.algorithm)
    throw new KeyError('key_algorithm_mismatch');
  return checked;
}

function checkByType(jwk: UncheckedJwk, options: ImportOptions): CheckedJwk {
  switch (jwk.kty) {
    case 'OKP':
      return checkOkp(jwk);
    case 'EC':
      return checkEc(jwk, options);
    case 'RSA':
      return checkRsa(jwk, options);
    case 'oct':
      return checkOct(jwk);
    default:
      throw new KeyError('key_type_unsupported');
  }
}

function checkOkp(jwk: UncheckedJwk): CheckedJwk {
  if (jwk.crv !== 'Ed25519') throw new KeyError('key_curve_unsupported');
  checkJwkAlgorithm(jwk, ['EdDSA', 'Ed25519']);
  const [publicKey, x] = bytesOf(jwk.x);
  checkEd25519Point(publicKey);
  return { algorithm: 'ed25519', jwk: { kty: 'OKP', crv: 'Ed25519', x }, publicKey };
}

function checkEc(jwk: UncheckedJwk, options: ImportOptions): CheckedJwk {
  const crv = curveOf(jwk.crv, options);
  const [algorithm, jwa, length] = CURVES[crv];
  checkJwkAlgorithm(jwk, [jwa]);
  const [xBytes, x] = bytesOf(jwk.x);
  const [yBytes, y] = bytesOf(jwk.y);
  // RFC 7518, section 6.2.1.2: exactly as long as the field, so that a key has one thumbprint.
  if (xBytes.length !== length || yBytes.length !== length) throw new KeyError('key_malformed');
  return { algorithm, jwk: { kty: 'EC', crv, x, y } };
}

function checkRsa(jwk: UncheckedJwk, options: ImportOptions): CheckedJwk {
  const [modulus, n] = bytesOf(jwk.n);
  const [exponent, e] = bytesOf(jwk.e);
  // RFC 7518, section 6.3.1: no leading zero octets, so that a key has one thumbprint.
  if (modulus[0] === 0 || exponent[0] === 0) throw new KeyError('key_malformed');
  const algorithm = rsaAlgorithm(jwk, options);
  const bits = modulus.length * 8 - (Math.clz32(modulus[0] ?? 0) - 24);
  if (bits > RSA_BITS_MAX || exponent.length > RSA_EXPONENT_BYTES_MAX) throw new KeyError('key_too_large');
  const value = exponent.reduce((sum, byte) => sum * 256 + byte, 0);
  if (bits < RSA_BITS_MIN || value < RSA_EXPONENT_MIN || value % 2 === 0) throw new KeyError('key_too_weak');
  return { algorithm, jwk: { kty: 'RSA', n, e }, modulusBytes: modulus.length };
}

function checkOct(jwk: UncheckedJwk): CheckedJwk {
  checkJwkAlgorithm(jwk, ['HS256']);
  const [secret, k] = bytesOf(jwk.k);
  if (secret.length < HMAC_BYTES_MIN) throw new KeyError('key_too_weak');
  return { algorithm: 'hmac-sha256', jwk: { kty: 'oct', k }, secret };
}

function rsaAlgorithm(jwk: UncheckedJwk, options: ImportOptions): 'rsa-pss-sha512' | 'rsa-v1_5-sha256' {
  checkJwkAlgorithm(jwk, ['PS512', 'RS256']);
  const v15 = jwk.alg === 'RS256' || (jwk.alg === undefined && options.algorithm === 'rsa-v1_5-sha256');
  if (!v15) return 'rsa-pss-sha512';
  if (options.allowRsaV15 !== true) throw new KeyError('key_algorithm_disabled');
  return 'rsa-v1_5-sha256';
}

function curveOf(crv: unknown, options: ImportOptions): keyof typeof CURVES {
  if (crv === 'P-256' || crv === 'P-384') return crv;
  if (crv !== 'secp256k1') throw new KeyError('key_curve_unsupported');
  if (options.secp256k1 !== true) throw new KeyError('key_secp256k1_unsupported');
  return crv;
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

/** The bytes of a member and its text, which is the one spelling they have. */
function bytesOf(value: unknown): [Bytes, string] {
  const bytes = typeof value === 'string' ? decodeBase64Url(value) : null;
  if (typeof value !== 'string' || bytes === null || bytes.length === 0) throw new KeyError('key_malformed');
  return [bytes, value];
}
