/** What an Ed25519 public key (RFC 8032) must be before anything is verified with it; on any platform. */
import { KeyError } from './errors.ts';

const KEY_BYTES = 32;

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
export function checkEd25519Point(publicKey: Uint8Array): void {
  if (publicKey.length !== KEY_BYTES) throw new KeyError('key_malformed');
  const y = Uint8Array.from(publicKey);
  y[31] = (y[31] ?? 0) & 0x7f;
  if (LOW_ORDER_Y.has(hex(y)) || isNotReduced(y)) throw new KeyError('key_low_order');
}

/** Whether y >= p = 2^255 - 19. */
function isNotReduced(y: Uint8Array): boolean {
  return y[31] === 0x7f && (y[0] ?? 0) >= 0xed && y.subarray(1, 31).every((byte) => byte === 0xff);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
