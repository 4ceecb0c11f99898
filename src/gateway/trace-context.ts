/**
 * W3C Trace Context (Recommendation, level 1): reading `traceparent`, writing it, and making ids.
 *
 * Ids come from a fast generator seeded by the caller from `node:crypto`, not from `crypto.randomBytes` for
 * each request: an id must not collide and should be evenly spread (samplers read its low bits), but it is no
 * secret, opens nothing and proves nothing, and a random draw from the kernel costs more than all else here.
 */

/** What a caller's `traceparent` says; ids in lower-case hex. */
export interface TraceParent {
  readonly traceId: string;
  readonly parentSpanId: string;
  /** Trace flags, 0 to 255; bit 0 is `sampled`. */
  readonly flags: number;
}

/** Draws a whole number from 0 to 2^32 - 1. */
export type Random32 = () => number;

/** version(2) - trace-id(32) - parent-id(16) - flags(2) */
const LENGTH = 55;
const DASH = 0x2d;
/** A later version may append fields; a header longer than this is noise (section 3.3.1.1 asks for parsing, not for patience). */
const LENGTH_MAX = 512;

/** Two lower-case hex digits for each byte, so that no id is built by number formatting. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** True when `text[from, to)` is lower-case hex and, unless `zeroAllowed`, not all zeros. */
function isHex(text: string, from: number, to: number, zeroAllowed: boolean): boolean {
  let seen = zeroAllowed ? 1 : 0;
  for (let i = from; i < to; i++) {
    const unit = text.charCodeAt(i);
    if (!((unit >= 0x30 && unit <= 0x39) || (unit >= 0x61 && unit <= 0x66))) return false;
    seen |= unit ^ 0x30;
  }
  return seen !== 0;
}

/**
 * Reads a `traceparent` field value; null when it must be ignored and a new trace begun (section 4.3).
 * Upper-case hex, all-zero ids and version `ff` are invalid (section 3.2.2). A version above 00 is read by its
 * first four fields, and of its flags only `sampled` is known to mean what it means here (section 4.3.1).
 */
export function parseTraceparent(value: string | undefined): TraceParent | null {
  if (value === undefined || value.length < LENGTH || value.length > LENGTH_MAX) return null;
  if (value.charCodeAt(2) !== DASH || value.charCodeAt(35) !== DASH || value.charCodeAt(52) !== DASH)
    return null;
  if (!isHex(value, 0, 2, true) || !isHex(value, 53, 55, true)) return null;
  if (!isHex(value, 3, 35, false) || !isHex(value, 36, 52, false)) return null;
  const version = value.slice(0, 2);
  if (version === 'ff') return null;
  const flags = Number.parseInt(value.slice(53, 55), 16);
  if (version === '00') {
    if (value.length !== LENGTH) return null;
    return { traceId: value.slice(3, 35), parentSpanId: value.slice(36, 52), flags };
  }
  if (value.length > LENGTH && value.charCodeAt(LENGTH) !== DASH) return null;
  return { traceId: value.slice(3, 35), parentSpanId: value.slice(36, 52), flags: flags & 1 };
}

/** Writes version 00. `flags` is 0 to 255. */
export function formatTraceparent(traceId: string, spanId: string, flags: number): string {
  return `00-${traceId}-${spanId}-${HEX[flags & 0xff]}`;
}

function hex32(word: number): string {
  return (
    (HEX[word >>> 24] as string) +
    (HEX[(word >>> 16) & 0xff] as string) +
    (HEX[(word >>> 8) & 0xff] as string) +
    (HEX[word & 0xff] as string)
  );
}

/** 32 hex digits, never all zero. */
export function newTraceId(random: Random32): string {
  // One bit is forced, since the all-zero id is invalid; the lowest bits, which samplers read, stay random.
  return hex32((random() | 0x8000_0000) >>> 0) + hex32(random()) + hex32(random()) + hex32(random());
}

/** 16 hex digits, never all zero. */
export function newSpanId(random: Random32): string {
  return hex32((random() | 0x8000_0000) >>> 0) + hex32(random());
}

/**
 * xoshiro128** (Blackman and Vigna): 128 bits of state, a period of 2^128 - 1, about 3 ns a draw.
 * `seed` is four words from a cryptographic source, so that two gateways do not walk the same sequence.
 */
export function createRandom32(seed: Uint32Array): Random32 {
  let [a = 0, b = 0, c = 0, d = 0] = seed;
  // The all-zero state is a fixed point.
  if ((a | b | c | d) === 0) a = 1;
  return () => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result >>> 0;
  };
}
