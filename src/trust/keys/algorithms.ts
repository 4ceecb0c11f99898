/** The primitives behind each algorithm name (RFC 9421, section 3.3), given a key that was already checked. */
import type { KeyObject, SignKeyObjectInput } from 'node:crypto';
import { constants, createHmac, sign as nodeSign, verify as nodeVerify, timingSafeEqual } from 'node:crypto';
import { verifyOnThread } from './thread-pool.ts';

export type RsaAlgorithm = 'rsa-pss-sha512' | 'rsa-v1_5-sha256';
export type EcdsaAlgorithm = 'ecdsa-p256-sha256' | 'ecdsa-p384-sha384';
type Verify = (data: Uint8Array, signature: Uint8Array) => boolean | Promise<boolean>;
type Sign = (data: Uint8Array) => Uint8Array;

/** Hash, curve names and the bytes of r||s (section 3.3.4 and 3.3.5). */
export const ECDSA = {
  'ecdsa-p256-sha256': { hash: 'sha256', crv: 'P-256', opensslCurve: 'prime256v1', coordinateBytes: 32 },
  'ecdsa-p384-sha384': { hash: 'sha384', crv: 'P-384', opensslCurve: 'secp384r1', coordinateBytes: 48 },
} as const satisfies Record<EcdsaAlgorithm, object>;

/** RFC 9421, section 3.3.1: salt of 64 bytes, MGF1 with SHA-512 (the default of node:crypto is the message's hash). */
const PSS_SALT_BYTES = 64;
/** 3,072 bits take 38 us, 4,096 take 64. */
const RSA_BYTES_AT_ONCE_MAX = 384;

/** Raw r||s of exact length: DER has many spellings for one signature. */
export function ecdsaVerifier(key: KeyObject, algorithm: EcdsaAlgorithm): Verify {
  const { hash, coordinateBytes } = ECDSA[algorithm];
  const options = { key, dsaEncoding: 'ieee-p1363' } as const;
  const length = 2 * coordinateBytes;
  // P-384 takes 450 us where P-256 takes 60.
  if (algorithm === 'ecdsa-p384-sha384')
    return (data, signature) => signature.length === length && verifyOnThread(hash, data, options, signature);
  return (data, signature) => signature.length === length && nodeVerify(hash, data, options, signature);
}

export function ecdsaSigner(key: KeyObject, algorithm: EcdsaAlgorithm): Sign {
  const { hash } = ECDSA[algorithm];
  const options = { key, dsaEncoding: 'ieee-p1363' } as const;
  return (data) => nodeSign(hash, data, options);
}

function rsaOptions(key: KeyObject, algorithm: RsaAlgorithm): [hash: string, options: SignKeyObjectInput] {
  return algorithm === 'rsa-pss-sha512'
    ? ['sha512', { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: PSS_SALT_BYTES }]
    : ['sha256', { key, padding: constants.RSA_PKCS1_PADDING }];
}

/** @param modulusBytes a signature is exactly as long as the modulus (RFC 8017, sections 8.1.2 and 8.2.2) */
export function rsaVerifier(key: KeyObject, algorithm: RsaAlgorithm, modulusBytes: number): Verify {
  const [hash, options] = rsaOptions(key, algorithm);
  if (modulusBytes > RSA_BYTES_AT_ONCE_MAX)
    return (data, signature) =>
      signature.length === modulusBytes && verifyOnThread(hash, data, options, signature);
  return (data, signature) => signature.length === modulusBytes && nodeVerify(hash, data, options, signature);
}

export function rsaSigner(key: KeyObject, algorithm: RsaAlgorithm): Sign {
  const [hash, options] = rsaOptions(key, algorithm);
  return (data) => nodeSign(hash, data, options);
}

export function hmacSigner(secret: KeyObject): Sign {
  return (data) => createHmac('sha256', secret).update(data).digest();
}

/** Compared in constant time: how much of a guess was right must not show. */
export function hmacVerifier(secret: KeyObject): Verify {
  const sign = hmacSigner(secret);
  return (data, signature) => signature.length === 32 && timingSafeEqual(sign(data), signature);
}
