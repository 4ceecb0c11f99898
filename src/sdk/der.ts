/**
 * As much DER as it takes to see which algorithm a PKCS #8 or SubjectPublicKeyInfo key is for, because WebCrypto wants
 * to be told before it imports one.
 */
import { type Bytes, decodeBase64 } from '../trust/wire/bytes.ts';
import type { Algorithm } from './algorithms.ts';
import { SdkError } from './errors.ts';

/** The longest key accepted is RSA with 4,096 bits: 2.4 KB of DER. */
const PEM_LENGTH_MAX = 16_384;

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;

/** Contents of the OBJECT IDENTIFIER, in hexadecimal. */
const KINDS: Readonly<Record<string, Algorithm | 'curve' | 'rsassa-pss'>> = {
  '2b6570': 'ed25519',
  '2a8648ce3d0201': 'curve',
  '2a864886f70d010101': 'rsa-pss-sha512',
  '2a864886f70d01010a': 'rsassa-pss',
};
const CURVES: Readonly<Record<string, Algorithm | 'secp256k1'>> = {
  '2a8648ce3d030107': 'ecdsa-p256-sha256',
  '2b81040022': 'ecdsa-p384-sha384',
  '2b8104000a': 'secp256k1',
};
/** AlgorithmIdentifier { rsaEncryption, NULL }. */
const RSA_ENCRYPTION = Uint8Array.from([
  0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
]);

export interface KeyDer {
  readonly algorithm: Algorithm;
  readonly der: Bytes;
}

interface Element {
  readonly tag: number;
  /** Where it begins, where its content begins, and where it ends. */
  readonly at: number;
  readonly content: number;
  readonly end: number;
}

/**
 * The DER in a PEM text.
 * @throws {SdkError} key_malformed, key_encrypted, key_format_unsupported, key_not_private, key_not_public
 */
export function readPem(pem: string, wanted: 'PRIVATE KEY' | 'PUBLIC KEY'): Bytes {
  if (pem.length > PEM_LENGTH_MAX) throw new SdkError('key_too_large');
  const match = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/.exec(pem);
  const [, label, text] = match ?? [];
  if (label === undefined || text === undefined) throw new SdkError('key_malformed', 'no complete PEM block');
  if (label !== wanted) throw new SdkError(...wrongLabel(label, wanted));
  const der = decodeBase64(text.replace(/\s+/g, ''));
  if (der === null) throw new SdkError('key_malformed', 'the PEM block is not base64');
  return der;
}

function wrongLabel(label: string, wanted: string): [SdkErrorCodeOfLabel, string?] {
  if (label === 'ENCRYPTED PRIVATE KEY') return ['key_encrypted'];
  if (wanted === 'PUBLIC KEY') {
    if (label.endsWith('PRIVATE KEY')) return ['key_not_public'];
    return ['key_malformed', `expected BEGIN PUBLIC KEY, found BEGIN ${label}`];
  }
  if (/^(EC|RSA|DSA|OPENSSH) PRIVATE KEY$/.test(label)) return ['key_format_unsupported', `BEGIN ${label}`];
  return ['key_not_private', `found BEGIN ${label}`];
}

type SdkErrorCodeOfLabel =
  | 'key_encrypted'
  | 'key_not_public'
  | 'key_malformed'
  | 'key_format_unsupported'
  | 'key_not_private';

/** PrivateKeyInfo (RFC 5958): version, AlgorithmIdentifier, key. @throws {SdkError} key_malformed, key_*_unsupported */
export function readPkcs8(der: Bytes): KeyDer {
  return readKey(der, 1);
}

/** SubjectPublicKeyInfo (RFC 5280): AlgorithmIdentifier, key. @throws {SdkError} key_malformed, key_*_unsupported */
export function readSpki(der: Bytes): KeyDer {
  return readKey(der, 0);
}

function readKey(der: Bytes, before: number): KeyDer {
  const outer = elementAt(der, 0, der.length);
  if (outer.tag !== SEQUENCE || outer.end !== der.length)
    throw new SdkError('key_malformed', 'not a DER key');
  let identifier = elementAt(der, outer.content, outer.end);
  for (let skipped = 0; skipped < before; skipped += 1)
    identifier = elementAt(der, identifier.end, outer.end);
  if (identifier.tag !== SEQUENCE) throw new SdkError('key_malformed', 'no algorithm identifier');
  const oid = elementAt(der, identifier.content, identifier.end);
  const kind = KINDS[oidText(der, oid)];
  if (kind === undefined) throw new SdkError('key_type_unsupported');
  if (kind === 'curve') return { algorithm: curveAt(der, oid.end, identifier.end), der };
  if (kind !== 'rsassa-pss') return { algorithm: kind, der };
  return { algorithm: 'rsa-pss-sha512', der: plainRsa(der, outer, identifier) };
}

function curveAt(der: Bytes, at: number, end: number): Algorithm {
  const curve = CURVES[oidText(der, elementAt(der, at, end))];
  if (curve === undefined) throw new SdkError('key_curve_unsupported');
  if (curve === 'secp256k1') throw new SdkError('key_secp256k1_unsupported', 'WebCrypto does not have it');
  return curve;
}

/** WebCrypto takes RSA keys under the plain identifier only; the key itself is the same. */
function plainRsa(der: Bytes, outer: Element, identifier: Element): Bytes {
  const head = der.subarray(outer.content, identifier.at);
  const tail = der.subarray(identifier.end, outer.end);
  const length = head.length + RSA_ENCRYPTION.length + tail.length;
  if (length < 0x100 || length > 0xffff) throw new SdkError('key_malformed');
  const plain = new Uint8Array(4 + length);
  plain.set([SEQUENCE, 0x82, length >> 8, length & 0xff]);
  plain.set(head, 4);
  plain.set(RSA_ENCRYPTION, 4 + head.length);
  plain.set(tail, 4 + head.length + RSA_ENCRYPTION.length);
  return plain;
}

function oidText(der: Bytes, element: Element): string {
  if (element.tag !== OBJECT_IDENTIFIER) throw new SdkError('key_malformed', 'no object identifier');
  const content = der.subarray(element.content, element.end);
  return Array.from(content, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function elementAt(der: Bytes, at: number, limit: number): Element {
  const tag = der[at];
  const first = der[at + 1];
  if (tag === undefined || first === undefined) throw new SdkError('key_malformed', 'the DER ends early');
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 2) throw new SdkError('key_malformed', 'a DER length is too large');
  let length = lengthBytes === 0 ? first : 0;
  for (let index = 0; index < lengthBytes; index += 1) length = length * 256 + (der[at + 2 + index] ?? 0);
  const content = at + 2 + lengthBytes;
  const end = content + length;
  if (end > limit) throw new SdkError('key_malformed', 'the DER ends early');
  return { tag, at, content, end };
}
