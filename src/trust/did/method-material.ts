/**
 * The key in a verification method (W3C Controlled Identifiers 1.0, section 2.2, and the suites before it), in whichever
 * form it is written. What is written in two forms at once, or of another kind than its type says, is no key.
 */
import { base58btc } from 'multiformats/bases/base58';
import { decodeBase64, decodeBase64Url } from '../wire/bytes.ts';
import type { KeyMaterial } from './key-import.ts';

type Members = Readonly<Record<string, unknown>>;

/** Multicodec prefixes, as varints, of the kinds of key that suites name. */
const KINDS = {
  ed25519: { prefix: [0xed, 0x01], curve: 'Ed25519', bytes: 32 },
  p256: { prefix: [0x80, 0x24], curve: 'P-256', bytes: 33 },
  p384: { prefix: [0x81, 0x24], curve: 'P-384', bytes: 49 },
  secp256k1: { prefix: [0xe7, 0x01], curve: 'secp256k1', bytes: 33 },
} as const;

type Kind = keyof typeof KINDS;

/** What a suite may hold: `any` says so itself, by its prefix or its JWK. */
const SUITES: Readonly<Record<string, Kind | 'rsa' | 'any'>> = {
  Multikey: 'any',
  JsonWebKey: 'any',
  JsonWebKey2020: 'any',
  Ed25519VerificationKey2018: 'ed25519',
  Ed25519VerificationKey2020: 'ed25519',
  EcdsaSecp256k1VerificationKey2019: 'secp256k1',
  EcdsaSecp256k1RecoveryMethod2020: 'secp256k1',
  EcdsaSecp256r1VerificationKey2019: 'p256',
  EcdsaSecp384r1VerificationKey2019: 'p384',
  P256Key2021: 'p256',
  P384Key2021: 'p384',
  RsaVerificationKey2018: 'rsa',
};

/** The longest kept, P-384, takes 70; decoding base58 costs the square of its length. */
const MULTIBASE_CHARS_MAX = 128;
/** An uncompressed P-384 point takes 194 in hexadecimal. */
const TEXT_CHARS_MAX = 256;
/** The modulus of an RSA key of 4,096 bits takes 683. */
const JWK_MEMBER_CHARS_MAX = 1_024;
/** What a public JWK is made of; the rest of it is nobody's concern. */
const JWK_MEMBERS = ['kty', 'crv', 'x', 'y', 'n', 'e', 'alg', 'use', 'key_ops'] as const;
const JWK_SECRETS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** Each form, and how it is read. */
const FORMS: Readonly<Record<string, (value: unknown, kind: Kind | 'rsa' | 'any') => KeyMaterial | null>> = {
  publicKeyMultibase: (value, kind) => fromMultikey(decodeMultibase(value), kind),
  publicKeyJwk: fromJwk,
  publicKeyBase58: (value, kind) => fromRaw(decodeBase58(value), kind),
  publicKeyHex: (value, kind) => fromRaw(decodeHex(value), kind),
  publicKeyBase64: (value, kind) => fromRaw(isShort(value) ? decodeBase64(value) : null, kind),
  blockchainAccountId: (value, kind) =>
    fromAccount(value, kind, /^eip155:[1-9][0-9]{0,31}:(0x[0-9a-fA-F]{40})$/),
  ethereumAddress: (value, kind) => fromAccount(value, kind, /^(0x[0-9a-fA-F]{40})$/),
};

/** The key of a method; null when it has none that is understood. Its value is checked when it is imported. */
export function materialOf(method: Members): KeyMaterial | null {
  const { type } = method as { readonly type?: unknown };
  const kind = typeof type === 'string' && Object.hasOwn(SUITES, type) ? SUITES[type] : undefined;
  if (kind === undefined || holdsSecret(method)) return null;
  const written = Object.keys(FORMS).filter((form) => Object.hasOwn(method, form));
  const [form] = written;
  if (form === undefined || written.length > 1) return null;
  return FORMS[form]?.(method[form], kind) ?? null;
}

/** A private key that is published proves nothing, even where a public one stands beside it. */
function holdsSecret(method: Members): boolean {
  return Object.keys(method).some((name) => /^(?:private|secret)Key/i.test(name));
}

function fromMultikey(bytes: Uint8Array | null, kind: Kind | 'rsa' | 'any'): KeyMaterial | null {
  if (bytes === null) return null;
  for (const [name, { prefix, bytes: length }] of Object.entries(KINDS)) {
    if (bytes[0] !== prefix[0] || bytes[1] !== prefix[1]) continue;
    return (kind === 'any' || kind === name) && bytes.length === 2 + length
      ? { kind: 'multikey', bytes }
      : null;
  }
  return null;
}

/** A key without a prefix is of the kind that its suite says; a point may also be uncompressed (SEC 1, section 2.3.3). */
function fromRaw(bytes: Uint8Array | null, kind: Kind | 'rsa' | 'any'): KeyMaterial | null {
  if (bytes === null || kind === 'any' || kind === 'rsa') return null;
  const { prefix, curve, bytes: length } = KINDS[kind];
  if (bytes.length === length) return { kind: 'multikey', bytes: Uint8Array.from([...prefix, ...bytes]) };
  const coordinate = length - 1;
  if (kind === 'ed25519' || bytes.length !== 1 + 2 * coordinate || bytes[0] !== 0x04) return null;
  const x = Buffer.from(bytes.subarray(1, 1 + coordinate)).toString('base64url');
  const y = Buffer.from(bytes.subarray(1 + coordinate)).toString('base64url');
  return { kind: 'jwk', jwk: { kty: 'EC', crv: curve, x, y } };
}

function fromJwk(value: unknown, kind: Kind | 'rsa' | 'any'): KeyMaterial | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const source: Members = { ...value };
  if (JWK_SECRETS.some((name) => Object.hasOwn(source, name))) return null;
  const jwk: Record<string, unknown> = {};
  for (const name of JWK_MEMBERS) {
    if (!Object.hasOwn(source, name)) continue;
    if (JSON.stringify(source[name]).length > JWK_MEMBER_CHARS_MAX) return null;
    jwk[name] = source[name];
  }
  const is =
    jwk.kty === 'RSA' ? 'rsa' : Object.entries(KINDS).find(([, { curve }]) => curve === jwk.crv)?.[0];
  return is !== undefined && (kind === 'any' || kind === is) ? { kind: 'jwk', jwk } : null;
}

/** CAIP-10. The address is what counts, not the chain: it is the same key on each. */
function fromAccount(value: unknown, kind: Kind | 'rsa' | 'any', form: RegExp): KeyMaterial | null {
  const address = isShort(value) && kind === 'secp256k1' ? form.exec(value)?.[1] : undefined;
  return address === undefined ? null : { kind: 'account', address: address.toLowerCase() };
}

function isShort(value: unknown): value is string {
  return typeof value === 'string' && value.length <= TEXT_CHARS_MAX;
}

function decodeMultibase(value: unknown): Uint8Array | null {
  if (typeof value !== 'string' || value.length > MULTIBASE_CHARS_MAX) return null;
  if (value.startsWith('u')) return decodeBase64Url(value.slice(1));
  return value.startsWith('z') ? decodeBase58(value.slice(1)) : null;
}

function decodeBase58(value: unknown): Uint8Array | null {
  if (typeof value !== 'string' || value.length > MULTIBASE_CHARS_MAX) return null;
  try {
    return base58btc.baseDecode(value);
  } catch {
    // Not base58: the one thing it can say.
    return null;
  }
}

function decodeHex(value: unknown): Uint8Array | null {
  return isShort(value) && /^(?:[0-9a-fA-F]{2})+$/.test(value) ? Buffer.from(value, 'hex') : null;
}
