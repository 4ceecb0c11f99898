/**
 * Key directories (draft-meunier-http-message-signatures-directory-05): the JSON Web Key Set of a host whose signers name
 * it by Signature-Agent, each key by its thumbprint. The signatures that a directory may carry over itself are not asked
 * for: they keep a copy of it from speaking for another host, and here the request's own signature covers whose it is.
 */
import type { Fetcher } from '../fetch/fetcher.ts';
import { isJsonObject, type JsonObject, parseJsonObject } from '../fetch/json.ts';
import { thumbprint } from '../keys/thumbprint.ts';
import { DOCUMENT_KEYS_MAX, type DocumentKey } from './document.ts';
import { DidError } from './errors.ts';
import { materialOf } from './method-material.ts';
import { type DocumentReader, withoutBody } from './web-documents.ts';
import { keyDirectoryUrl } from './web-name.ts';

/** Section 3: it must be served as this. */
const MEDIA_TYPES = ['application/http-message-signatures-directory+json'];
/** `authentication`: a directory is for nothing else. */
const FLAGS = 0x01;
/** In seconds this is the year 5138, in milliseconds 1973: some write what the draft has in seconds in milliseconds. */
const SECONDS_MAX = 1e11;
/** `alg` is from the registry of HTTP Signature Algorithms here, where a JWK otherwise has JOSE's. */
const JOSE_NAMES: ReadonlyMap<unknown, string> = new Map([
  ['ed25519', 'EdDSA'],
  ['ecdsa-p256-sha256', 'ES256'],
  ['ecdsa-p384-sha384', 'ES384'],
  ['rsa-pss-sha512', 'PS512'],
]);

export function directoryReader(fetcher: Fetcher): DocumentReader {
  return async (question) => {
    const { site, held, known, readAtMs } = question;
    const url = keyDirectoryUrl(site);
    const fetched = await fetcher.fetch({ url, mediaTypes: MEDIA_TYPES, known, etag: held?.etag ?? null });
    if (fetched.kind !== 'body') return withoutBody(fetched, question);
    const { etag, maxAgeMs, bytes } = fetched;
    const keys = directoryKeys(parseJsonObject(bytes), readAtMs);
    return { exists: true, keys, readAtMs, etag, maxAgeMs, bytes: bytes.length, version: null };
  };
}

/**
 * The keys of a directory that are valid or will end, by thumbprint. One that cannot be understood is left out.
 * @throws DidError did_unresolvable when it is no JSON Web Key Set
 */
function directoryKeys(directory: JsonObject, nowMs: number): readonly DocumentKey[] {
  const { keys } = directory;
  if (!Array.isArray(keys))
    throw new DidError('did_unresolvable', 'the key directory is no JSON Web Key Set');
  const found = new Map<string, DocumentKey>();
  for (const jwk of keys.slice(0, DOCUMENT_KEYS_MAX) as unknown[]) {
    const key = isJsonObject(jwk) ? keyOf(jwk, nowMs) : null;
    // The same key twice is the same key; it ends with the sooner of its ends.
    const other = key === null ? undefined : found.get(key.fragment);
    if (key !== null && !(other !== undefined && other.validUntilMs < key.validUntilMs))
      found.set(key.fragment, key);
  }
  return [...found.values()];
}

function keyOf(jwk: JsonObject, nowMs: number): DocumentKey | null {
  const [from, until] = [momentOf(jwk.nbf, 0), momentOf(jwk.exp, Number.POSITIVE_INFINITY)];
  if (from === null || until === null || from > nowMs) return null;
  const publicKeyJwk = JOSE_NAMES.has(jwk.alg) ? { ...jwk, alg: JOSE_NAMES.get(jwk.alg) } : jwk;
  const material = materialOf({ type: 'JsonWebKey', publicKeyJwk });
  if (material?.kind !== 'jwk') return null;
  try {
    return { fragment: thumbprint(material.jwk), flags: FLAGS, validUntilMs: until, material };
  } catch {
    // It lacks a member that makes it a key.
    return null;
  }
}

/** Milliseconds since the epoch; null when it cannot be read. */
function momentOf(value: unknown, absent: number): number | null {
  if (value === undefined) return absent;
  if (typeof value !== 'number' || !(value >= 0)) return null;
  return value > SECONDS_MAX ? value : value * 1_000;
}
