/**
 * The keys in a DID document as its host publishes it (W3C DID 1.0; Controlled Identifiers 1.0). A method that is not
 * understood is left out and harms no other; a document of somebody else is no document.
 */
import { DOCUMENT_KEYS_MAX, type DocumentKey } from './document.ts';
import { DidError } from './errors.ts';
import type { KeyMaterial } from './key-import.ts';
import { materialOf } from './method-material.ts';

type Members = Readonly<Record<string, unknown>>;

/** The relationships that are kept, with their bits in the flags of a key. */
const RELATIONSHIPS = [
  ['authentication', 0x01],
  ['assertionMethod', 0x02],
  ['keyAgreement', 0x04],
] as const;
/** Entries looked at in one relationship: each method may be named in two spellings, with room to spare. */
const REFERENCES_MAX = 256;
/** As in a keyid: percent-encoding would give one key two names. */
const FRAGMENT = /^[A-Za-z0-9._~-]{1,128}$/;
/** XML Schema dateTimeStamp: the offset is not optional. */
const DATE_TIME = /^-?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

interface Method {
  readonly fragment: string;
  readonly validUntilMs: number;
  /** Null when it is not understood: then its name stands for no key, whatever else bears it. */
  readonly material: KeyMaterial | null;
}

/**
 * The keys of `document`, which must be that of `did` exactly.
 * @throws DidError did_unresolvable when it is another's
 */
export function publishedKeys(document: Members, did: string): readonly DocumentKey[] {
  const { id, deactivated, verificationMethod } = document as Readonly<Record<string, unknown>>;
  if (id !== did) throw new DidError('did_unresolvable', `the document found is not that of ${did}`);
  if (deactivated === true) return [];
  const methods: Method[] = [];
  const flags = new Map<string, number>();
  const add = (value: unknown): string | null => {
    if (methods.length >= DOCUMENT_KEYS_MAX) return null;
    const method = methodOf(value, did);
    if (method !== null) methods.push(method);
    return method?.fragment ?? null;
  };
  for (const value of listOf(verificationMethod, DOCUMENT_KEYS_MAX)) add(value);
  for (const [relationship, flag] of RELATIONSHIPS) {
    for (const entry of listOf(document[relationship], REFERENCES_MAX)) {
      const fragment = typeof entry === 'string' ? fragmentOf(entry, did) : add(entry);
      if (fragment !== null) flags.set(fragment, (flags.get(fragment) ?? 0) | flag);
    }
  }
  return unambiguous(methods).flatMap(({ fragment, validUntilMs, material }) =>
    material === null ? [] : [{ fragment, flags: flags.get(fragment) ?? 0, validUntilMs, material }],
  );
}

/** Null when it does not even have a name here. */
function methodOf(value: unknown, did: string): Method | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const method: Members = { ...value };
  const fragment = fragmentOf(method.id, did);
  if (fragment === null) return null;
  const validUntilMs = Math.min(momentOf(method.expires), momentOf(method.revoked));
  // Somebody else's key may be named in a document; that makes him speak for himself, not for the DID.
  const own = method.controller === did && !Number.isNaN(validUntilMs);
  return { fragment, validUntilMs, material: own ? materialOf(method) : null };
}

/** One method for each name. Two with one name, unless they say the same, are none: which is meant cannot be known. */
function unambiguous(methods: readonly Method[]): readonly Method[] {
  const named = new Map<string, Method>();
  for (const method of methods) {
    const other = named.get(method.fragment);
    const same = other === undefined || sayingOf(other) === sayingOf(method);
    named.set(method.fragment, same ? method : { ...method, material: null });
  }
  return [...named.values()];
}

function sayingOf({ validUntilMs, material }: Method): string {
  const said = material?.kind === 'multikey' ? Buffer.from(material.bytes).toString('hex') : material;
  return JSON.stringify([`${validUntilMs}`, said]);
}

/** The fragment of a method's id, absolute or relative to `did`; null when it is another's or no fragment of ours. */
function fragmentOf(id: unknown, did: string): string | null {
  if (typeof id !== 'string') return null;
  const hash = id.indexOf('#');
  if (hash < 0 || (hash > 0 && id.slice(0, hash) !== did)) return null;
  const fragment = id.slice(hash + 1);
  return FRAGMENT.test(fragment) ? fragment : null;
}

/** Milliseconds since the epoch; Infinity when nothing is said, NaN when what is said cannot be read. */
function momentOf(value: unknown): number {
  if (value === undefined) return Number.POSITIVE_INFINITY;
  return typeof value === 'string' && DATE_TIME.test(value) ? Date.parse(value) : Number.NaN;
}

function listOf(value: unknown, max: number): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, max) : [];
}
