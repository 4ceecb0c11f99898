/** RSA keys that carry the id-RSASSA-PSS identifier (RFC 4055): node:crypto cannot write those as a JWK. */
import type { KeyObject } from 'node:crypto';
import { createPublicKey } from 'node:crypto';
import { KeyError } from './errors.ts';

/**
 * The same public key under the plain RSA identifier.
 * @throws {KeyError} key_algorithm_mismatch when the key is restricted to another hash or a longer salt
 */
export function plainRsaKey(key: KeyObject): KeyObject {
  const { hashAlgorithm, mgf1HashAlgorithm, saltLength } = key.asymmetricKeyDetails ?? {};
  const restricted =
    (hashAlgorithm ?? 'sha512') !== 'sha512' ||
    (mgf1HashAlgorithm ?? 'sha512') !== 'sha512' ||
    // In a key the salt length is the least that may be used.
    (saltLength ?? 0) > 64;
  if (restricted) throw new KeyError('key_algorithm_mismatch');
  const spki = key.export({ format: 'der', type: 'spki' });
  // SEQUENCE { AlgorithmIdentifier, BIT STRING { unused bits, RSAPublicKey } }, as OpenSSL itself wrote it.
  const algorithmAt = contentAt(spki, 0);
  const bitsAt = contentAt(spki, algorithmAt) + contentLength(spki, algorithmAt);
  const pkcs1 = spki.subarray(contentAt(spki, bitsAt) + 1);
  return createPublicKey({ key: pkcs1, format: 'der', type: 'pkcs1' });
}

/** Bytes of a DER length field at `at + 1`. */
function lengthBytes(der: Buffer, at: number): number {
  const first = der.readUInt8(at + 1);
  return first < 0x80 ? 1 : 1 + (first & 0x7f);
}

function contentAt(der: Buffer, at: number): number {
  return at + 1 + lengthBytes(der, at);
}

function contentLength(der: Buffer, at: number): number {
  const bytes = lengthBytes(der, at);
  return bytes === 1 ? der.readUInt8(at + 1) : der.readUIntBE(at + 2, bytes - 1);
}
