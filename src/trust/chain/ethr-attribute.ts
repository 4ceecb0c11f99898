/**
 * A public key in an attribute of did:ethr: `did/pub/<algorithm>/<purpose>/<encoding>`, whose value is the key itself.
 * The encoding says how a document would write it; only `pem` changes what the value is.
 */
import { createPublicKey, ECDH, type KeyObject } from 'node:crypto';
import type { KeyMaterial } from '../did/key-import.ts';
import { KEY_FLAGS } from './key-slot.ts';

const PUBLIC_KEY_PREFIX = 'did/pub/';
const PUBLIC_KEY = /^did\/pub\/(\w+)(?:\/(\w+))?(?:\/(\w+))?$/;

/** A PEM of RSA-4096 takes 800; whoever writes attributes can write much. */
const VALUE_BYTES_MAX = 2_048;

/** Encodings whose value is the raw key, the absent one included. */
const RAW: ReadonlySet<string | undefined> = new Set([undefined, 'hex', 'base64', 'base58']);

interface PublicKey {
  /** Any of `KEY_FLAGS`. */
  readonly flags: number;
  readonly material: KeyMaterial;
}

export function isPublicKeyName(name: string): boolean {
  return name.startsWith(PUBLIC_KEY_PREFIX);
}

/** @returns undefined when it is none that we can use. */
export function attributeKey(name: string, value: Buffer): PublicKey | undefined {
  const match = PUBLIC_KEY.exec(name);
  if (match === null || value.length > VALUE_BYTES_MAX) return undefined;
  const [, algorithm, purpose, encoding] = match;
  const material = materialOf(algorithm, encoding, value);
  if (material === undefined) return undefined;
  return { flags: flagsOf(algorithm, purpose), material };
}

/** An X25519 key agrees and never signs, whatever its purpose says. Anything but `enc` makes assertions. */
function flagsOf(algorithm: string | undefined, purpose: string | undefined): number {
  if (algorithm === 'X25519' || purpose === 'enc') return KEY_FLAGS.keyAgreement;
  const { authentication, assertionMethod } = KEY_FLAGS;
  return purpose === 'sigAuth' ? authentication | assertionMethod : assertionMethod;
}

function materialOf(
  algorithm: string | undefined,
  encoding: string | undefined,
  value: Buffer,
): KeyMaterial | undefined {
  if (encoding === 'pem') return spki(value.toString('utf8'), algorithm);
  if (!RAW.has(encoding)) return undefined;
  switch (algorithm) {
    case 'Secp256k1':
      return secp256k1(value);
    case 'Ed25519':
      return value.length === 32 ? multikey(0xed, value) : undefined;
    case 'X25519':
      return value.length === 32 ? multikey(0xec, value) : undefined;
    case 'RSA':
      return spki(value, algorithm);
    default:
      return undefined;
  }
}

/** The varint of a multicodec below 0x100 has 0x01 as its second byte. */
function multikey(codec: number, key: Uint8Array): KeyMaterial {
  return { kind: 'multikey', bytes: Uint8Array.of(codec, 0x01, ...key) };
}

/** Compressed, whichever way it was written. */
function secp256k1(point: Buffer): KeyMaterial | undefined {
  try {
    return multikey(
      0xe7,
      ECDH.convertKey(point, 'secp256k1', undefined, undefined, 'compressed') as unknown as Uint8Array,
    );
  } catch {
    return undefined;
  }
}

const KEY_TYPES: Readonly<Record<string, KeyObject['asymmetricKeyType']>> = {
  Ed25519: 'ed25519',
  X25519: 'x25519',
  RSA: 'rsa',
};

/** A SubjectPublicKeyInfo in DER, or in PEM; one of the type that the attribute names. */
function spki(value: Buffer | string, algorithm: string | undefined): KeyMaterial | undefined {
  // createPublicKey would derive a public key from a private one, and take one out of a certificate.
  if (typeof value === 'string' && !value.trimStart().startsWith('-----BEGIN PUBLIC KEY-----'))
    return undefined;
  try {
    const key = createPublicKey(
      typeof value === 'string' ? value : { key: value, format: 'der', type: 'spki' },
    );
    const jwk = key.export({ format: 'jwk' });
    if (algorithm === 'Secp256k1') {
      if (jwk.crv !== 'secp256k1' || jwk.x === undefined || jwk.y === undefined) return undefined;
      const coordinates = [jwk.x, jwk.y].map((text) => Buffer.from(text, 'base64url'));
      return secp256k1(Buffer.concat([Buffer.of(4), ...coordinates]));
    }
    return KEY_TYPES[algorithm ?? ''] === key.asymmetricKeyType
      ? { kind: 'jwk', jwk: { ...jwk } }
      : undefined;
  } catch {
    return undefined;
  }
}
