/** Compressed points of P-256 and P-384 (SEC 1, section 2.3): did:key has them, WebCrypto does not read them everywhere. */

interface Curve {
  readonly p: bigint;
  readonly b: bigint;
  readonly bytes: number;
}

/** FIPS 186-5 and SP 800-186: y² = x³ - 3x + b over a prime p with p mod 4 = 3. */
const CURVES: Readonly<Record<'P-256' | 'P-384', Curve>> = {
  'P-256': {
    p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    bytes: 32,
  },
  'P-384': {
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    bytes: 48,
  },
};

/** Both coordinates of a compressed point; null when it is not one, or not on the curve. */
export function decompress(
  crv: 'P-256' | 'P-384',
  point: Uint8Array,
): { x: Uint8Array; y: Uint8Array } | null {
  const { p, b, bytes } = CURVES[crv];
  const sign = point[0];
  if (point.length !== bytes + 1 || (sign !== 2 && sign !== 3)) return null;
  const x = toNumber(point.subarray(1));
  if (x >= p) return null;
  const square = modulo(x * x * x - 3n * x + b, p);
  const root = power(square, (p + 1n) / 4n, p);
  if ((root * root) % p !== square) return null;
  const y = root % 2n === BigInt(sign & 1) ? root : modulo(-root, p);
  return { x: point.subarray(1), y: toBytes(y, bytes) };
}

/** @param y the second coordinate, big-endian */
export function compress(x: Uint8Array, y: Uint8Array): Uint8Array {
  return Uint8Array.from([2 | ((y[y.length - 1] ?? 0) & 1), ...x]);
}

function modulo(value: bigint, p: bigint): bigint {
  const rest = value % p;
  return rest < 0n ? rest + p : rest;
}

function power(base: bigint, exponent: bigint, p: bigint): bigint {
  let result = 1n;
  let square = base;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % p;
    square = (square * square) % p;
  }
  return result;
}

function toNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function toBytes(value: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let rest = value;
  for (let at = length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}
