import { importAccount, importJwk, importMultikey } from '../keys/import.ts';
import type { VerificationKey } from '../keys/key.ts';
import { chooseKey, type DidDocument, type DocumentKey } from './document.ts';
import { DidError } from './errors.ts';
import type { ResolvedKey } from './key-memory.ts';

/** What a document says of a key, before it is known to be one. */
export type KeyMaterial =
  /** Multicodec prefix and public key. */
  | { readonly kind: 'multikey'; readonly bytes: Uint8Array }
  | { readonly kind: 'jwk'; readonly jwk: Readonly<Record<string, unknown>> }
  /** A blockchain account (CAIP-10, namespace eip155): the address in lower case. Its key is recovered from a signature. */
  | { readonly kind: 'account'; readonly address: string };

/** The private halves of keys that standards print are known to everybody, so those keys prove nothing. */
const OPTIONS = { refuseKnownTestKeys: true } as const;

/** The key in `bytes` (multicodec prefix and public key), or the reason in the resolver's own words. */
function usableMultikey(bytes: Uint8Array): VerificationKey {
  try {
    return importMultikey(bytes, OPTIONS);
  } catch (error) {
    throw unusable(error);
  }
}

/** The key in a public JWK. */
function usableJwk(jwk: Readonly<Record<string, unknown>>): VerificationKey {
  let key: VerificationKey;
  try {
    key = importJwk(jwk, OPTIONS);
  } catch (error) {
    throw unusable(error);
  }
  // A shared secret that stands in a public document is nobody's proof.
  if (key.algorithm === 'hmac-sha256')
    throw new DidError('key_unsupported', 'a symmetric key cannot be a DID key');
  return key;
}

/** The key of a blockchain account: recovered from its first signature. */
function usableAccount(address: string): VerificationKey {
  try {
    return importAccount(address, OPTIONS);
  } catch (error) {
    throw unusable(error);
  }
}

function unusable(error: unknown): DidError {
  return new DidError(
    'key_unsupported',
    error instanceof Error ? error.message : 'the key is not accepted',
    error,
  );
}

/** The key that a document speaks of. @throws DidError key_unsupported */
export function usableKey(material: KeyMaterial): VerificationKey {
  switch (material.kind) {
    case 'multikey':
      return usableMultikey(material.bytes);
    case 'jwk':
      return usableJwk(material.jwk);
    case 'account':
      return usableAccount(material.address);
  }
}

/** Importing a key costs as much as verifying with it; a document in reach keeps what it was asked for. */
const imported = new WeakMap<DocumentKey, VerificationKey>();

/** The key of a document's method. */
export function importOnce(method: DocumentKey): VerificationKey {
  let key = imported.get(method);
  if (key === undefined) {
    key = usableKey(method.material);
    imported.set(method, key);
  }
  return key;
}

/** Whether a document still names `key`, unchanged. */
export function isStillNamed(document: DidDocument, key: ResolvedKey, nowMs: number): boolean {
  try {
    return importOnce(chooseKey(document, key.fragment, nowMs)).thumbprint === key.key.thumbprint;
  } catch {
    return false;
  }
}
