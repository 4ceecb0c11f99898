/** The forms in which Ethereum's tools write a secp256k1 signature. */
import type { Bytes } from '../wire/bytes.ts';

const NUMBER_BYTES = 32;
const RS_BYTES = 64;
const RSV_BYTES = 65;
const SEQUENCE = 0x30;
const INTEGER = 0x02;

/**
 * As r and s (64 bytes): from r, s and v (65), or from DER (X.690), strictly. Signatures of other keys are as long as
 * r and s together, too, and pass unchanged. Null for anything else.
 */
export function ethereumSignature(bytes: Bytes): Bytes | null {
  if (bytes.length === RS_BYTES) return bytes;
  if (bytes.length === RSV_BYTES) {
    const v = bytes[RS_BYTES] as number;
    return v === 0 || v === 1 || v === 27 || v === 28 ? bytes.subarray(0, RS_BYTES) : null;
  }
  return fromDer(bytes);
}

function fromDer(bytes: Bytes): Bytes | null {
  if (bytes[0] !== SEQUENCE || bytes[1] !== bytes.length - 2) return null;
  const rs = new Uint8Array(RS_BYTES);
  const afterR = readInteger(bytes, 2, rs.subarray(0, NUMBER_BYTES));
  const end = afterR < 0 ? -1 : readInteger(bytes, afterR, rs.subarray(NUMBER_BYTES));
  return end === bytes.length ? rs : null;
}

/** Writes the integer at `at` into `number`, right-aligned; answers where it ends, or -1. */
function readInteger(bytes: Bytes, at: number, number: Uint8Array): number {
  const length = bytes[at + 1] ?? 0;
  let start = at + 2;
  const end = start + length;
  if (bytes[at] !== INTEGER || length === 0 || end > bytes.length) return -1;
  const first = bytes[start] as number;
  if (first >= 0x80) return -1;
  if (first === 0) {
    // A zero in front only where the next byte would make it negative: DER has one spelling.
    if (length > 1 && (bytes[start + 1] as number) < 0x80) return -1;
    start += 1;
  }
  if (end - start > NUMBER_BYTES) return -1;
  number.set(bytes.subarray(start, end), NUMBER_BYTES - (end - start));
  return end;
}
