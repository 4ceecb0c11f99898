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
  readonly decodeBase64: (text: string) => Bytes | null;
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
  decodeBase64(text) {
    // `atob` skips white space and takes pad bits as they come; only what encodes back to the same text is accepted.
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return null;
    const decoded = atob(text);
    return btoa(decoded) === text ? webSpelling.latin1Bytes(decoded) : null;
  },
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

/** Strict base64 (RFC 4648, section 4): padded, pad bits zero, no other alphabet, no white space; else null. */
export const decodeBase64: Spelling['decodeBase64'] = hasBuffer
  ? (text) => {
      const bytes = Buffer.from(text, 'base64');
      return bytes.toString('base64') === text ? bytes : null;
    }
  : webSpelling.decodeBase64;

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
