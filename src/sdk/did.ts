/** The DIDs that are keys: did:key (W3C CCG did:key v0.7) and did:jwk, made from keys and read back. */
import { type ParsedKeyId, parseKeyId } from '../trust/did/did-url.ts';
import { DidError } from '../trust/did/errors.ts';
import { KeyError } from '../trust/keys/errors.ts';
import { type CheckedJwk, checkJwk } from '../trust/keys/public-jwk.ts';
import { isPublishedTestKey } from '../trust/keys/thumbprint-text.ts';
import { decodeBase64Url, encodeBase64Url } from '../trust/wire/bytes.ts';
import { BASE58_LENGTH_MAX, decodeBase58, encodeBase58 } from './base58.ts';
import { compress, decompress } from './curve-point.ts';
import { SdkError } from './errors.ts';
import { type Jwk, membersOf, publicMembers } from './jwk.ts';
import {
  checkedPublicJwk,
  exportedJwk,
  isCryptoKey,
  thumbprintOf,
  type VerifyingKey,
  verifyingKey,
} from './public-key.ts';

/** multicodec: ed25519-pub 0xed, p256-pub 0x1200, p384-pub 0x1201, as varints of two bytes. */
const PREFIXES = { Ed25519: [0xed, 0x01], 'P-256': [0x80, 0x24], 'P-384': [0x81, 0x24] } as const;

/** Keys a resolver keeps imported; one more costs an import, about as much as a verification. */
const KEPT_KEYS_MAX = 1_000;

export interface KeyDid {
  readonly did: string;
  /** What goes into `keyid`: the absolute DID URL of the key. */
  readonly keyId: string;
}

/**
 * The did:key of an Ed25519, P-256 or P-384 key, public or private; the did:jwk of an RSA key.
 * @throws {SdkError} key_without_did for a shared secret, key_not_exportable, every other key_* code
 */
export async function didKeyOf(key: Jwk | CryptoKey): Promise<KeyDid> {
  const jwk = isCryptoKey(key) ? await exportedJwk(key) : membersOf(key);
  if (jwk === null) throw new SdkError('key_malformed', 'not a JWK or CryptoKey');
  return didOfPublic(await checkedPublicJwk(publicMembers(jwk)));
}

/** @throws {SdkError} key_without_did */
export function didOfPublic({ algorithm, jwk }: CheckedJwk): KeyDid {
  if (algorithm === 'hmac-sha256') throw new SdkError('key_without_did');
  if (jwk.kty === 'RSA') {
    const did = `did:jwk:${encodeBase64Url(new TextEncoder().encode(JSON.stringify(jwk)))}`;
    return { did, keyId: `${did}#0` };
  }
  const id = `z${encodeBase58(multikeyOf(jwk))}`;
  return { did: `did:key:${id}`, keyId: `did:key:${id}#${id}` };
}

function multikeyOf(jwk: Readonly<Record<string, string>>): Uint8Array {
  const { crv, x = '', y } = jwk;
  if (crv !== 'Ed25519' && crv !== 'P-256' && crv !== 'P-384') throw new SdkError('key_without_did');
  const first = bytesOf(x);
  return Uint8Array.from([...PREFIXES[crv], ...(y === undefined ? first : compress(first, bytesOf(y)))]);
}

function bytesOf(member: string): Uint8Array {
  const bytes = decodeBase64Url(member);
  if (bytes === null) throw new SdkError('key_malformed');
  return bytes;
}

/** Finds the key a `keyid` names; null when it knows none. */
export type KeyResolver = (keyId: string) => VerifyingKey | null | Promise<VerifyingKey | null>;

/**
 * A resolver for did:key and did:jwk, whose identifier is the key. Anybody can make one, so it proves who is calling
 * and never that they may: look at `caller.did` before you do what was asked.
 */
export function didKeyResolver(): KeyResolver {
  const kept = new Map<string, Promise<VerifyingKey>>();
  return (keyId) => {
    const parsed = parseKeyId(keyId);
    if (parsed.method !== 'key' && parsed.method !== 'jwk') return null;
    const known = kept.get(parsed.did);
    if (known !== undefined && fragmentFits(parsed)) return known;
    const key = offlineKey(parsed);
    // The oldest goes: what a stranger pushes out is imported again, nothing else is lost.
    if (kept.size >= KEPT_KEYS_MAX) kept.delete(kept.keys().next().value ?? '');
    kept.set(parsed.did, key);
    key.catch(() => kept.delete(parsed.did));
    return key;
  };
}

function fragmentFits({ did, method, fragment }: ParsedKeyId): boolean {
  return fragment === null || fragment === (method === 'jwk' ? '0' : did.slice('did:key:'.length));
}

/** @throws {DidError} did_malformed, key_unknown, key_unsupported */
async function offlineKey(keyId: ParsedKeyId): Promise<VerifyingKey> {
  const id = keyId.did.slice(keyId.did.indexOf(':', 4) + 1);
  if (!fragmentFits(keyId)) throw new DidError('key_unknown', `${keyId.did} has no other key than itself`);
  const checked = usable(keyId.method === 'jwk' ? jwkOfId(id) : jwkOfMultikey(id));
  // The private halves of the keys that RFC 9421 prints are known to everybody.
  if (isPublishedTestKey(await thumbprintOf(checked)))
    throw new DidError('key_unsupported', 'the private half of this key is printed in RFC 9421');
  try {
    return await verifyingKey(checked);
  } catch (error) {
    throw new DidError('key_unsupported', error instanceof Error ? error.message : 'not accepted', error);
  }
}

function usable(jwk: Readonly<Record<string, unknown>>): CheckedJwk {
  try {
    const checked = checkJwk(jwk);
    if (checked.algorithm !== 'hmac-sha256') return checked;
  } catch (error) {
    if (error instanceof KeyError) throw new DidError('key_unsupported', error.message, error);
    throw error;
  }
  throw new DidError('key_unsupported', 'a symmetric key cannot be a DID key');
}

function jwkOfMultikey(id: string): Record<string, unknown> {
  if (id.length > BASE58_LENGTH_MAX)
    throw new DidError('key_unsupported', 'the did:key is too long for any key accepted');
  const bytes = decodeBase58(id.slice(1));
  if (bytes === null) throw new DidError('did_malformed', 'the did:key does not decode');
  const key = bytes.subarray(2);
  for (const crv of ['Ed25519', 'P-256', 'P-384'] as const) {
    const [first, second] = PREFIXES[crv];
    if (bytes[0] !== first || bytes[1] !== second) continue;
    if (crv === 'Ed25519') return { kty: 'OKP', crv, x: encodeBase64Url(key) };
    const point = decompress(crv, key);
    if (point === null) throw new DidError('key_unsupported', `the did:key is no point of ${crv}`);
    return { kty: 'EC', crv, x: encodeBase64Url(point.x), y: encodeBase64Url(point.y) };
  }
  throw new DidError('key_unsupported', 'only Ed25519, P-256 and P-384 are accepted in a did:key');
}

function jwkOfId(id: string): Readonly<Record<string, unknown>> {
  const bytes = decodeBase64Url(id);
  if (bytes === null) throw new DidError('did_malformed', 'the did:jwk is not canonical base64url');
  let jwk: Readonly<Record<string, unknown>> | null;
  try {
    jwk = membersOf(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (error) {
    throw new DidError('did_malformed', 'the did:jwk does not hold JSON', error);
  }
  if (jwk === null) throw new DidError('did_malformed', 'the did:jwk does not hold a JSON Web Key');
  // did:jwk, security considerations: a private key must be rejected wherever it is met.
  if ('d' in jwk || 'k' in jwk) throw new DidError('did_malformed', 'the did:jwk holds a secret');
  // did:jwk, section 2: with `use` "enc" the document has keyAgreement alone.
  if (jwk.use !== undefined && jwk.use !== 'sig')
    throw new DidError('key_unknown', 'the did:jwk is not for authentication');
  return jwk;
}
