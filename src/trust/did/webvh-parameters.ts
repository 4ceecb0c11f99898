/** The parameters of a did:webvh log (version 1.0, section 3.7.1): what each entry may change, and when that counts. */
import { isJsonObject, type JsonObject } from '../fetch/json.ts';

/** Keys and hashes in one list, and witnesses. */
const LIST_MAX = 32;
const METHOD = 'did:webvh:1.0';

export interface Witnessing {
  readonly threshold: number;
  /** Multikeys; none: nobody witnesses. */
  readonly witnesses: ReadonlySet<string>;
}

export interface Parameters {
  readonly updateKeys: readonly string[];
  readonly nextKeyHashes: readonly string[];
  readonly witness: Witnessing;
  readonly portable: boolean;
  readonly deactivated: boolean;
  /** How long the controller wishes the DID to be kept, in seconds; null when he does not say. */
  readonly ttl: number | null;
}

const NOBODY: Witnessing = { threshold: 0, witnesses: new Set() };

/** What holds before the first entry. */
const DEFAULTS: Parameters = {
  updateKeys: [],
  nextKeyHashes: [],
  witness: NOBODY,
  portable: false,
  deactivated: false,
  ttl: null,
};

/** The parameters of a log from its first entry on. Null: an entry that breaks the rules. */
export function firstParameters(given: JsonObject, scid: string): Parameters | null {
  if (given.method !== METHOD || given.scid !== scid || given.updateKeys === undefined) return null;
  return merged(DEFAULTS, given, given.portable === true);
}

/** The same after a later entry; `given` is what it says. */
export function nextParameters(before: Parameters, given: JsonObject): Parameters | null {
  // A newer version of the method may have other rules: what is not known is not believed.
  if (given.scid !== undefined || (given.method !== undefined && given.method !== METHOD)) return null;
  if (given.portable === true && !before.portable) return null;
  const rotating = before.nextKeyHashes.length > 0;
  if (rotating && (given.updateKeys === undefined || given.nextKeyHashes === undefined)) return null;
  return merged(before, given, before.portable && given.portable !== false);
}

function merged(before: Parameters, given: JsonObject, portable: boolean): Parameters | null {
  const updateKeys = given.updateKeys === undefined ? before.updateKeys : textsOf(given.updateKeys);
  const nextKeyHashes =
    given.nextKeyHashes === undefined ? before.nextKeyHashes : textsOf(given.nextKeyHashes);
  const witness = given.witness === undefined ? before.witness : witnessingOf(given.witness);
  const { deactivated = before.deactivated, ttl = before.ttl } = given;
  if (updateKeys === null || nextKeyHashes === null || witness === null) return null;
  if (
    typeof deactivated !== 'boolean' ||
    (given.portable !== undefined && typeof given.portable !== 'boolean')
  )
    return null;
  if (ttl !== null && !(typeof ttl === 'number' && ttl >= 0)) return null;
  return { updateKeys, nextKeyHashes, witness, portable, deactivated, ttl };
}

/** `null` is read as none: the specification forbids it in one place and asks for it in another. */
function textsOf(value: unknown): readonly string[] | null {
  if (value === null) return [];
  if (!Array.isArray(value) || value.length > LIST_MAX) return null;
  return value.every((text): text is string => typeof text === 'string') ? value : null;
}

function witnessingOf(value: unknown): Witnessing | null {
  if (value === null) return NOBODY;
  if (!isJsonObject(value)) return null;
  if (Object.keys(value).length === 0) return NOBODY;
  const { threshold, witnesses } = value;
  if (!Array.isArray(witnesses) || witnesses.length > LIST_MAX) return null;
  const multikeys = new Set<string>();
  for (const witness of witnesses as unknown[]) {
    const id = isJsonObject(witness) && typeof witness.id === 'string' ? witness.id : '';
    const multikey = /^did:key:(z[1-9A-HJ-NP-Za-km-z]{1,90})$/.exec(id)?.[1];
    if (multikey === undefined || multikeys.has(multikey)) return null;
    multikeys.add(multikey);
  }
  if (typeof threshold !== 'number' || !Number.isInteger(threshold)) return null;
  return threshold >= 1 && threshold <= multikeys.size ? { threshold, witnesses: multikeys } : null;
}
