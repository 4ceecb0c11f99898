/**
 * Keys from outside, checked once: type, curve, size, weak values. What comes out can be asked by any number of
 * requests; what is refused here never reaches one. Each way in ends in a JWK of the few members that matter,
 * so that one set of checks holds for all.
 */
import type { KeyObject, webcrypto } from 'node:crypto';
import { createPublicKey, createSecretKey, ECDH, hash } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { decodeBase64Url, encodeBase64Url } from '../wire/bytes.ts';
import { ECDSA, ecdsaVerifier, hmacVerifier, rsaVerifier } from './algorithms.ts';
import { ed25519Verifier } from './ed25519.ts';
import { KeyError } from './errors.ts';
import type { VerificationKey } from './key.ts';
import { type CheckedJwk, checkJwk, type ImportOptions, type UncheckedJwk } from './public-jwk.ts';
import { isPublishedAccount } from './published-accounts.ts';
import { plainRsaKey } from './rsa-pss-key.ts';
import { accountVerifier, secp256k1Verifier } from './secp256k1.ts';
import { thumbprint } from './thumbprint.ts';
import { isPublishedTestKey } from './thumbprint-text.ts';

/** The longest Multikey we accept, P-384, is 51 bytes, 70 characters; decoding base58 is quadratic. */
const MULTIBASE_LENGTH_MAX = 128;

const SECP256K1 = { crv: 'secp256k1', opensslCurve: 'secp256k1', coordinateBytes: 32 };

/**
 * A public JWK, or a symmetric one (`kty` oct), which a caller who reads public documents has to refuse himself.
 * @throws {KeyError} any of its codes
 */
export function importJwk(jwk: UncheckedJwk, options: ImportOptions = {}): VerificationKey {
  const checked = checkJwk(jwk, { ...options, secp256k1: true });
  const name = thumbprint(checked.jwk);
  const key = keyOf(checked, name);
  if (options.refuseKnownTestKeys === true && (isPublishedTestKey(name) || isPublishedAccount(name)))
    throw new KeyError('key_published');
  return key;
}

function keyOf(checked: CheckedJwk, name: string): VerificationKey {
  const { algorithm } = checked;
  switch (checked.algorithm) {
    case 'ed25519':
      return { algorithm, thumbprint: name, verify: ed25519Verifier(Buffer.from(checked.publicKey)) };
    case 'ecdsa-p256-sha256':
    case 'ecdsa-p384-sha384':
      return { algorithm, thumbprint: name, verify: ecdsaVerifier(readJwk(checked.jwk), checked.algorithm) };
    case 'ecdsa-secp256k1-sha256':
      return onSecp256k1(checked.jwk, name);
    case 'rsa-pss-sha512':
    case 'rsa-v1_5-sha256': {
      const verify = rsaVerifier(readJwk(checked.jwk), checked.algorithm, checked.modulusBytes);
      return { algorithm, thumbprint: name, verify };
    }
    case 'hmac-sha256':
      return { algorithm, thumbprint: name, verify: hmacVerifier(createSecretKey(checked.secret)) };
  }
}

function onSecp256k1(jwk: { readonly x: string; readonly y: string }, name: string): VerificationKey {
  const key = readJwk({ ...jwk });
  const point = Buffer.concat([
    Buffer.of(4),
    Buffer.from(jwk.x, 'base64url'),
    Buffer.from(jwk.y, 'base64url'),
  ]);
  return {
    algorithm: 'ecdsa-secp256k1-sha256',
    thumbprint: name,
    verify: secp256k1Verifier(key, point, 'sha256'),
    keccak: {
      algorithm: 'ecdsa-secp256k1-keccak256',
      thumbprint: name,
      verify: secp256k1Verifier(key, point, 'keccak-256'),
    },
  };
}

/**
 * The key of a blockchain account, of which only the address is known (CAIP-10, namespace eip155). Its signatures are
 * r, s and recovery id, 65 bytes.
 * @param address 0x and 40 lower-case hex digits
 * @throws {KeyError} key_malformed, key_published
 */
export function importAccount(address: string, options: ImportOptions = {}): VerificationKey {
  if (!/^0x[0-9a-f]{40}$/.test(address)) throw new KeyError('key_malformed');
  if (options.refuseKnownTestKeys === true && isPublishedAccount(address))
    throw new KeyError('key_published');
  const name = hash('sha256', `eip155 account ${address}`, 'base64url');
  return {
    algorithm: 'ecdsa-secp256k1-sha256',
    thumbprint: name,
    verify: accountVerifier(address, 'sha256'),
    keccak: {
      algorithm: 'ecdsa-secp256k1-keccak256',
      thumbprint: name,
      verify: accountVerifier(address, 'keccak-256'),
    },
  };
}

/**
 * A Multikey: its bytes (multicodec prefix, then the key), or those in multibase (`z` base58btc, `u` base64url).
 * @throws {KeyError} key_malformed, key_type_unsupported, key_low_order, …
 */
export function importMultikey(multikey: Uint8Array | string, options: ImportOptions = {}): VerificationKey {
  const bytes = typeof multikey === 'string' ? decodeMultibase(multikey) : Buffer.from(multikey);
  const key = bytes.subarray(2);
  // Multicodec prefixes as varints: ed25519-pub, p256-pub, p384-pub, secp256k1-pub.
  switch (bytes.length < 2 ? -1 : bytes.readUInt16BE(0)) {
    case 0xed01:
      return importJwk({ kty: 'OKP', crv: 'Ed25519', x: encodeBase64Url(key) }, options);
    case 0x8024:
      return importJwk(uncompressed(key, ECDSA['ecdsa-p256-sha256']), options);
    case 0x8124:
      return importJwk(uncompressed(key, ECDSA['ecdsa-p384-sha384']), options);
    case 0xe701:
      return importJwk(uncompressed(key, SECP256K1), options);
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
  if (secret.length === 0) throw new KeyError('key_too_weak');
  return importJwk({ kty: 'oct', k: encodeBase64Url(secret) }, options);
}

/** The same as people keep it in a file: base64 or base64url, with white space at its ends. @throws {KeyError} as `importHmac`, key_malformed */
export function importSecretText(text: string): VerificationKey {
  const written = text.trim();
  const secret = /^[A-Za-z0-9+/_-]+={0,2}$/.test(written) ? Buffer.from(written, 'base64') : null;
  if (secret === null) throw new KeyError('key_malformed');
  return importHmac(secret);
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
  if (text.startsWith('u')) {
    const bytes = decodeBase64Url(text.slice(1));
    if (bytes === null || bytes.length === 0) throw new KeyError('key_malformed');
    return Buffer.from(bytes);
  }
  try {
    return Buffer.from(base58btc.decode(text as `z${string}`));
  } catch (error) {
    throw new KeyError('key_malformed', error);
  }
}

/** Multikey has EC points compressed; a JWK wants both coordinates. */
function uncompressed(
  point: Buffer,
  { crv, opensslCurve, coordinateBytes }: { crv: string; opensslCurve: string; coordinateBytes: number },
): UncheckedJwk {
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
