/**
 * Ed25519 (RFC 8032) by libsodium where its addon loads, else by node:crypto. Measured on one core: 38-48 us a
 * verification against 68-77.
 */
import { createPrivateKey, createPublicKey, sign as nodeSign, verify as nodeVerify } from 'node:crypto';
import { createRequire } from 'node:module';
import { KeyError } from './errors.ts';

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

type Engine = 'libsodium' | 'node:crypto';

interface Sodium {
  crypto_sign_detached: (signature: Uint8Array, data: Uint8Array, secretKey: Uint8Array) => void;
  crypto_sign_verify_detached: (signature: Uint8Array, data: Uint8Array, publicKey: Uint8Array) => boolean;
}

const sodium = loadSodium();

/** Which implementation is in use; said once at start and in the detailed health. */
export const ed25519Engine: Engine = sodium === null ? 'node:crypto' : 'libsodium';

function loadSodium(): Sodium | null {
  try {
    return createRequire(import.meta.url)('sodium-native') as Sodium;
  } catch {
    // A platform without a prebuilt addon: slower, equally correct.
    return null;
  }
}

/** Little-endian y coordinates of the points of order 1, 2, 4 and 8; their sign bit is not looked at. */
const LOW_ORDER_Y: ReadonlySet<string> = new Set([
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]);

/**
 * Refuses what imports without complaint and is no key: with a point of small order one signature can fit every
 * message. Coordinates of p and above are second spellings, of small-order points among others, and go too.
 * @throws {KeyError} key_malformed, key_low_order
 */
export function checkEd25519Point(publicKey: Buffer): void {
  if (publicKey.length !== KEY_BYTES) throw new KeyError('key_malformed');
  const y = Buffer.from(publicKey);
  y[31] = (y[31] ?? 0) & 0x7f;
  if (LOW_ORDER_Y.has(y.toString('hex')) || isNotReduced(y)) throw new KeyError('key_low_order');
}

/** Whether y >= p = 2^255 - 19. */
function isNotReduced(y: Buffer): boolean {
  return y[31] === 0x7f && (y[0] ?? 0) >= 0xed && y.subarray(1, 31).every((byte) => byte === 0xff);
}

type Verify = (data: Uint8Array, signature: Uint8Array) => boolean;

/** `engine` is for tests that hold the two against each other. */
export function ed25519Verifier(publicKey: Buffer, engine: Engine = ed25519Engine): Verify {
  if (sodium !== null && engine === 'libsodium') {
    const verify = sodium.crypto_sign_verify_detached;
    return (data, signature) => signature.length === SIGNATURE_BYTES && verify(signature, data, publicKey);
  }
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') },
    format: 'jwk',
  });
  return (data, signature) => signature.length === SIGNATURE_BYTES && nodeVerify(null, data, key, signature);
}

/** @param seed the 32 bytes of the private key, and `publicKey` what belongs to them */
export function ed25519Signer(
  seed: Buffer,
  publicKey: Buffer,
  engine: Engine = ed25519Engine,
): (data: Uint8Array) => Uint8Array {
  if (sodium !== null && engine === 'libsodium') {
    const sign = sodium.crypto_sign_detached;
    const secret = Buffer.concat([seed, publicKey]);
    return (data) => {
      const signature = Buffer.alloc(SIGNATURE_BYTES);
      sign(signature, data, secret);
      return signature;
    };
  }
  const jwk = {
    kty: 'OKP',
    crv: 'Ed25519',
    d: seed.toString('base64url'),
    x: publicKey.toString('base64url'),
  };
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  return (data) => nodeSign(null, data, key);
}
