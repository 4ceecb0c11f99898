/**
 * Decoding of the Solidity ABI, strictly: every offset, length and padding is checked, and what leads out of its data
 * is a bad answer of the node. Only the few types that the registries speak of.
 */
import { createHash } from 'node:crypto';
import { ChainError } from './errors.ts';

export const WORD_BYTES = 32;

export function malformed(what: string): ChainError {
  return new ChainError('rpc_bad_answer', { detail: `${what} is malformed` });
}

export function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.slice(2), 'hex');
}

/** The 32 bytes at `offset`. */
export function wordAt(data: Buffer, offset: number, what: string): Buffer {
  if (offset + WORD_BYTES > data.length) throw malformed(what);
  return data.subarray(offset, offset + WORD_BYTES);
}

export function uintAt(data: Buffer, offset: number, what: string): bigint {
  return BigInt(`0x${wordAt(data, offset, what).toString('hex')}`);
}

/** A word as a number that can index `data`: anything larger is malformed, whatever its upper bytes say. */
export function indexAt(data: Buffer, offset: number, what: string): number {
  const value = uintAt(data, offset, what);
  if (value >= 1n << 48n) throw malformed(what);
  return Number(value);
}

/** Lower case. */
export function addressAt(data: Buffer, offset: number, what: string): string {
  const word = wordAt(data, offset, what);
  if (word.subarray(0, 12).some((byte) => byte !== 0)) throw malformed(what);
  return `0x${word.toString('hex', 12)}`;
}

/** `bytes` or `string` whose offset, relative to `base`, stands at `base + place`. */
export function bytesAt(data: Buffer, base: number, place: number, what: string): Buffer {
  const at = base + indexAt(data, base + place, what);
  const start = at + WORD_BYTES;
  const end = start + indexAt(data, at, what);
  if (end > data.length) throw malformed(what);
  return data.subarray(start, end);
}

/** The arguments of a call that takes one `string`. */
export function encodeString(text: string): string {
  const bytes = Buffer.from(text, 'utf8');
  const padded = Buffer.alloc(Math.ceil(bytes.length / WORD_BYTES) * WORD_BYTES);
  bytes.copy(padded);
  const word = (value: number): string => value.toString(16).padStart(2 * WORD_BYTES, '0');
  return word(WORD_BYTES) + word(bytes.length) + padded.toString('hex');
}

/** An address as an indexed topic or an argument, 64 hex digits without 0x. */
export function addressWord(address: string): string {
  return address
    .slice(2)
    .toLowerCase()
    .padStart(2 * WORD_BYTES, '0');
}

export function keccak256(data: Uint8Array | string): string {
  return `0x${createHash('keccak-256').update(data).digest('hex')}`;
}
