/**
 * Bytes and their spellings, wherever the wire runs: by Node's `Buffer` where there is one (also in Bun and Deno), which
 * is several times faster, else by what every browser has. Both ways give the same answers; a test holds them together.
 */

/** Over memory that is not shared, which is what WebCrypto takes. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** `String.fromCharCode` takes its characters as arguments, and engines bound those. */
const ARGUMENTS_MAX = 8_192;

interface Spelling {
  readonly latin1Bytes: (text: string) => Bytes;
  readonly latin1Text: (bytes: Uint8Array) => string;
  readonly encodeBase64: (bytes: Uint8Array) => string;
}

/** For engines without `Buffer`. */
export const webSpelling: Spelling = {
  latin1Bytes(text) {
    const bytes = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
    return bytes;
  },
  // TextDecoder knows no latin1: by that name it decodes windows-1252.
  latin1Text(bytes) {
    let text = '';
    for (let at = 0; at < bytes.length; at += ARGUMENTS_MAX) {
      text += String.fromCharCode(...bytes.subarray(at, at + ARGUMENTS_MAX));
    }
    return text;
  },
  encodeBase64: (bytes) => btoa(webSpelling.latin1Text(bytes)),
};

const hasBuffer = typeof globalThis.Buffer === 'function';

/** One byte a character; the caller knows that there is none above U+00FF. */
export const latin1Bytes: Spelling['latin1Bytes'] = hasBuffer
  ? (text) => Buffer.from(text, 'latin1')
  : webSpelling.latin1Bytes;

/** One character a byte. */
export const latin1Text: Spelling['latin1Text'] = hasBuffer
  ? (bytes) => bufferOn(bytes).toString('latin1')
  : webSpelling.latin1Text;

export const encodeBase64: Spelling['encodeBase64'] = hasBuffer
  ? (bytes) => bufferOn(bytes).toString('base64')
  : webSpelling.encodeBase64;

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** No six bits. */
const NONE = 0xff;
/** The six bits that a character stands for, by its code. */
const SEXTETS = new Uint8Array(256).fill(NONE);
for (let at = 0; at < ALPHABET.length; at += 1) SEXTETS[ALPHABET.charCodeAt(at)] = at;

const allocate: (length: number) => Bytes = hasBuffer
  ? (length) => Buffer.allocUnsafe(length)
  : (length) => new Uint8Array(length);

/**
 * Strict base64 (RFC 4648, section 4): padded, pad bits zero, no other alphabet, no white space; else null.
 *
 * Not by `Buffer`, whose vector instructions make the Ed25519 check that follows 3 us slower (seen on a Xeon); the 88
 * characters of a signature take 0.2 us here.
 */
export function decodeBase64(text: string): Bytes | null {
  if (text.length % 4 !== 0) return null;
  const pads = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const end = text.length - pads;
  const bytes = allocate((text.length / 4) * 3 - pads);
  let seen = 0;
  let held = 0;
  let bits = 0;
  let to = 0;
  for (let at = 0; at < end; at += 1) {
    const sextet = SEXTETS[text.charCodeAt(at)] ?? NONE;
    seen |= sextet;
    held = ((held << 6) | sextet) & 0x3fff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[to] = held >> bits;
      to += 1;
    }
  }
  const padBits = held & ((1 << bits) - 1);
  return seen === NONE || padBits !== 0 ? null : bytes;
}

/** RFC 4648, section 5, without padding, as JOSE writes it. */
export function encodeBase64Url(bytes: Uint8Array): string {
  return encodeBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** Strict base64url (RFC 7515, section 2): no padding, pad bits zero; else null. */
export function decodeBase64Url(text: string): Bytes | null {
  if (/[+/=]/.test(text)) return null;
  const padding = '='.repeat((4 - (text.length % 4)) % 4);
  return decodeBase64(text.replaceAll('-', '+').replaceAll('_', '/') + padding);
}

/** The same text in memory of its own: a slice keeps the whole string it was cut from alive. */
export function detached(text: string): string {
  return latin1Text(latin1Bytes(text));
}

/** Whether two byte strings are the same; not for secrets, since how long it takes tells where they part. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

function bufferOn(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
