/**
 * ECDSA on secp256k1 (SEC 2, section 2.4.1), over SHA-256 and, as Ethereum does, over Keccak-256. By libsecp256k1 where
 * its addon loads: 37 us a verification and 47 a recovery. Where it does not, OpenSSL takes 230 and so goes to the thread
 * pool, and recoveries, 1.5 ms in JavaScript, to a thread of their own.
 *
 * RFC 9421 registers no name for either: `ecdsa-secp256k1-sha256` and `ecdsa-secp256k1-keccak256` are ours, formed as
 * its own are. A high S is accepted (SHA-256 signers do not avoid it): replays are told by their nonce, never by bytes.
 */
import { createPublicKey, hash, type KeyObject, sign as nodeSign } from 'node:crypto';
import { createRequire } from 'node:module';
import { encodeBase64Url } from '../wire/bytes.ts';
import { type RecoverableSignature, recoverOnThread } from './recovery.ts';
import { verifyOnThread } from './thread-pool.ts';

/** As OpenSSL calls them. */
type Digest = 'sha256' | 'keccak-256';
type Verify = (data: Uint8Array, signature: Uint8Array) => boolean | Promise<boolean>;

interface Addon {
  readonly ecdsaVerify: (signature: Uint8Array, digest: Uint8Array, publicKey: Uint8Array) => boolean;
  readonly ecdsaRecover: (
    signature: Uint8Array,
    recoveryId: number,
    digest: Uint8Array,
    compressed: false,
  ) => Uint8Array;
  readonly signatureNormalize: (signature: Uint8Array) => Uint8Array;
}

const SIGNATURE_BYTES = 64;
/** r, s and the recovery id. */
const RECOVERABLE_BYTES = 65;

const addon = loadAddon();

/** Which implementation is in use; said in the detailed health. */
export const secp256k1Engine = addon === null ? 'node:crypto' : 'libsecp256k1';

function loadAddon(): Addon | null {
  try {
    // Not the package's main entry, which would fall back to arithmetic in JavaScript.
    return createRequire(import.meta.url)('secp256k1/bindings') as Addon;
  } catch {
    return null;
  }
}

/**
 * @param key for OpenSSL, and proof that the point is on the curve
 * @param point the same, uncompressed
 */
export function secp256k1Verifier(
  key: KeyObject,
  point: Uint8Array,
  digest: Digest,
  engine: typeof secp256k1Engine = secp256k1Engine,
): Verify {
  if (addon === null || engine === 'node:crypto') {
    const options = { key, dsaEncoding: 'ieee-p1363' } as const;
    return (data, signature) =>
      signature.length === SIGNATURE_BYTES && verifyOnThread(digest, data, options, signature);
  }
  const { ecdsaVerify, signatureNormalize } = addon;
  return (data, signature) => {
    if (signature.length !== SIGNATURE_BYTES) return false;
    try {
      return ecdsaVerify(signatureNormalize(Uint8Array.from(signature)), hash(digest, data, 'buffer'), point);
    } catch {
      // r or s is zero, or not below the order.
      return false;
    }
  };
}

/** Signs r and s, 64 bytes; a high S is not avoided. */
export function secp256k1Signer(key: KeyObject, digest: Digest): (data: Uint8Array) => Uint8Array {
  const options = { key, dsaEncoding: 'ieee-p1363' } as const;
  return (data) => nodeSign(digest, data, options);
}

/**
 * For an account (an address alone): the key is recovered from r, s and the recovery id (0, 1, 27 or 28), and must be
 * the one whose address it is (Ethereum Yellow Paper, appendix F). Once it was, it is kept and nothing recovered.
 * @param address 0x and 40 lower-case hex digits
 */
export function accountVerifier(
  address: string,
  digest: Digest,
  engine: typeof secp256k1Engine = secp256k1Engine,
): Verify {
  let known: Verify | null = null;
  const accept = (point: Uint8Array | null): boolean => {
    if (point === null || addressOf(point) !== address) return false;
    known ??= secp256k1Verifier(keyOfPoint(point), point, digest, engine);
    return true;
  };
  return (data, bytes) => {
    if (bytes.length !== RECOVERABLE_BYTES) return false;
    const recoveryId = recoveryIdOf(bytes[SIGNATURE_BYTES] as number);
    if (recoveryId === null) return false;
    const signature = Uint8Array.from(bytes.subarray(0, SIGNATURE_BYTES));
    if (known !== null) return known(data, signature);
    const asked = { digest: hash(digest, data, 'buffer'), signature, recoveryId };
    return addon === null || engine === 'node:crypto'
      ? recoverOnThread(asked).then(accept)
      : accept(recovered(addon, asked));
  };
}

function recovered(by: Addon, { digest, signature, recoveryId }: RecoverableSignature): Uint8Array | null {
  try {
    return Uint8Array.from(by.ecdsaRecover(signature, recoveryId, digest, false));
  } catch {
    return null;
  }
}

function recoveryIdOf(v: number): 0 | 1 | null {
  const id = v >= 27 ? v - 27 : v;
  return id === 0 || id === 1 ? id : null;
}

/** @param point uncompressed */
function keyOfPoint(point: Uint8Array): KeyObject {
  const x = encodeBase64Url(point.subarray(1, 33));
  const y = encodeBase64Url(point.subarray(33));
  return createPublicKey({ key: { kty: 'EC', crv: 'secp256k1', x, y }, format: 'jwk' });
}

/** The address of an uncompressed point (Yellow Paper, appendix F): 0x and 40 lower-case hex digits. */
export function addressOf(point: Uint8Array): string {
  return `0x${hash('keccak-256', point.subarray(1), 'hex').slice(-40)}`;
}
