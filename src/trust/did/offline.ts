/**
 * The methods whose identifier is the key: did:key (W3C CCG did:key v0.7), did:jwk and did:pkh. Nothing is fetched, so
 * nothing can be revoked either: only an operator can shut such a caller out (`deny-list.ts`, or the policy).
 */

import { varint } from 'multiformats';
import { base58btc } from 'multiformats/bases/base58';
import type { VerificationKey } from '../keys/key.ts';
import type { ParsedKeyId } from './did-url.ts';
import type { DocumentKey } from './document.ts';
import { DidError } from './errors.ts';
import { usableKey } from './key-import.ts';

/** Longest multibase text decoded: base58 costs the square of its length. P-384 takes 71. */
const MULTIBASE_CHARS_MAX = 128;

/** did:jwk, section 2: the document's one method is always `#0`, whatever `kid` says. */
const JWK_FRAGMENT = '0';
/** did:pkh, section "Read". */
const ACCOUNT_FRAGMENT = 'blockchainAccountId';

// multicodec table: the kinds of key the did:key registry lists and we do not verify with.
const FOREIGN_CODECS = new Set([0xea, 0xeb, 0xec, 0x1202, 0x1205]);
const DID_KEY_CODECS = new Set([0xed, 0xe7, 0x1200, 0x1201]);

export interface OfflineKey {
  readonly fragment: string;
  readonly key: VerificationKey;
}

/** The one method of a document that its identifier spells out. */
export type OfflineMethod = Pick<DocumentKey, 'fragment' | 'flags' | 'material'>;

/** `authentication` and `assertionMethod`. */
const SIGNING_FLAGS = 0x03;
/** `keyAgreement`. */
const AGREEMENT_FLAG = 0x04;

/**
 * The key that is the identifier.
 * @throws DidError did_malformed, key_unknown, key_unsupported
 */
export function offlineKey(keyId: ParsedKeyId): OfflineKey {
  const { fragment, flags, material } = offlineMethod(keyId);
  // did:jwk, section 2: with `use` "enc" the document has keyAgreement alone.
  if (flags === AGREEMENT_FLAG) throw new DidError('key_unknown', 'the key is not for authentication');
  return { fragment, key: usableKey(material) };
}

/** The same before it is known whether it is a key. @throws DidError did_malformed, key_unknown, key_unsupported */
export function offlineMethod(keyId: ParsedKeyId): OfflineMethod {
  const id = keyId.did.slice(keyId.did.indexOf(':', 4) + 1);
  if (keyId.method === 'pkh') return fromAccount(id, keyId.fragment);
  return keyId.method === 'jwk' ? fromJwk(id, keyId.fragment) : fromMultibase(id, keyId.fragment);
}

/** did:pkh, whose document has one method: the account itself. */
function fromAccount(id: string, fragment: string | null): OfflineMethod {
  if (fragment !== null && fragment !== ACCOUNT_FRAGMENT)
    throw new DidError('key_unknown', `the only key of a did:pkh is #${ACCOUNT_FRAGMENT}`);
  const address = id.slice(id.lastIndexOf(':') + 1);
  return { fragment: ACCOUNT_FRAGMENT, flags: SIGNING_FLAGS, material: { kind: 'account', address } };
}

function fromMultibase(id: string, fragment: string | null): OfflineMethod {
  // The document of a did:key has one method for authentication, named like the key itself (section 3.1.2).
  if (fragment !== null && fragment !== id)
    throw new DidError('key_unknown', 'a did:key has no other key than itself');
  if (id.length > MULTIBASE_CHARS_MAX)
    throw new DidError('key_unsupported', 'the did:key is too long for any key accepted');
  let bytes: Uint8Array;
  let codec: number;
  try {
    bytes = base58btc.decode(id);
    [codec] = varint.decode(bytes);
  } catch (error) {
    throw new DidError('did_malformed', 'the did:key does not decode', error);
  }
  if (FOREIGN_CODECS.has(codec)) {
    throw new DidError('key_unsupported', `keys of multicodec 0x${codec.toString(16)} are not accepted`);
  }
  if (!DID_KEY_CODECS.has(codec))
    throw new DidError('did_malformed', 'the did:key names no kind of public key');
  return { fragment: id, flags: SIGNING_FLAGS, material: { kind: 'multikey', bytes } };
}

function fromJwk(id: string, fragment: string | null): OfflineMethod {
  if (fragment !== null && fragment !== JWK_FRAGMENT) {
    throw new DidError('key_unknown', 'the only key of a did:jwk is #0');
  }
  const bytes = Buffer.from(id, 'base64url');
  // Node decodes leniently; only the one spelling that encodes back is accepted.
  if (bytes.toString('base64url') !== id)
    throw new DidError('did_malformed', 'the did:jwk is not canonical base64url');
  let jwk: unknown;
  try {
    jwk = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new DidError('did_malformed', 'the did:jwk does not hold JSON', error);
  }
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) {
    throw new DidError('did_malformed', 'the did:jwk does not hold a JSON Web Key');
  }
  const members: Readonly<Record<string, unknown>> & { readonly use?: unknown } = { ...jwk };
  // did:jwk, security considerations: a private key must be rejected wherever it is met.
  if ('d' in members || 'k' in members) throw new DidError('did_malformed', 'the did:jwk holds a secret');
  const forSignatures = members.use === undefined || members.use === 'sig';
  const flags = forSignatures ? SIGNING_FLAGS : AGREEMENT_FLAG;
  return { fragment: JWK_FRAGMENT, flags, material: { kind: 'jwk', jwk: members } };
}
