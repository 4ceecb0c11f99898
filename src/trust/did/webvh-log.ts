/**
 * The log of a did:webvh (version 1.0): a chain of documents, each signed by keys that the one before it named, whose
 * first hashes to the identifier. The host can withhold it, and nothing else. Verified here and not by the library of the
 * method's authors (`didwebvh-ts` 2.8), which takes an entry whose list of proofs is empty for a signed one.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { isJsonObject, type JsonObject, parseJson, parseJsonObject } from '../fetch/json.ts';
import { canonicalJson } from './canonical-json.ts';
import { DidError } from './errors.ts';
import { firstParameters, nextParameters, type Parameters, type Witnessing } from './webvh-parameters.ts';
import { documentHash, multihash, Proofs } from './webvh-proof.ts';

/** A log with more is refused: each costs two hashes and a signature, about 0.2 ms, or 3 where it is made to cost. */
const ENTRIES_MAX = 256;
const PROOFS_PER_ENTRY_MAX = 8;
/** Proofs of witnesses that are verified; what comes after them does not count. */
const WITNESS_PROOFS_MAX = 512;
/** Of witnesses, after which other requests have their turn; they have it twice in each entry. */
const BREATH = 8;
/** Of a witness file: `WITNESS_PROOFS_MAX` proofs with all their members. */
const WITNESS_VALUES_MAX = 8_192;
/** How far ahead of ours a controller's clock may be; as the reference implementation has it. */
const CLOCK_SKEW_MS = 300_000;
/** The placeholder that stands for the SCID in what it is the hash of (section 3.7.3). */
const PLACEHOLDER = '{SCID}';
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|\+00:00)$/;
const MEMBERS = ['parameters', 'proof', 'state', 'versionId', 'versionTime'];

interface Entry {
  readonly versionId: string;
  readonly timeMs: number;
  readonly parameters: JsonObject;
  readonly state: JsonObject;
  readonly proofs: readonly unknown[];
  /** All of it but the proofs. */
  readonly signed: JsonObject;
}

/** Who has to have approved a version. */
interface Duty extends Witnessing {
  readonly version: number;
}

export interface History {
  /** The newest document. */
  readonly state: JsonObject;
  readonly deactivated: boolean;
  /** In seconds; null when the controller does not say. */
  readonly ttl: number | null;
  /** Number of each version by its id. */
  readonly versions: ReadonlyMap<string, number>;
  readonly newest: string;
  readonly duties: readonly Duty[];
}

/** @throws DidError did_unresolvable for a log that does not prove itself */
export async function readHistory(log: Uint8Array, scid: string, nowMs: number): Promise<History> {
  const lines = linesOf(Buffer.from(log.buffer, log.byteOffset, log.byteLength));
  if (lines.length === 0 || lines.length > ENTRIES_MAX) throw broken(`it has ${lines.length} entries`);
  const proofs = new Proofs(nowMs);
  const versions = new Map<string, number>();
  const duties: Duty[] = [];
  let before: { readonly entry: Entry; readonly parameters: Parameters } | null = null;
  for (const [index, line] of lines.entries()) {
    const version = index + 1;
    await breathe();
    const entry = entryOf(line, version);
    const parameters: Parameters | null =
      before === null
        ? firstParameters(entry.parameters, scid)
        : nextParameters(before.parameters, entry.parameters);
    if (parameters === null) throw broken(`the parameters of version ${version} break the rules`);
    checkTime(entry, before?.entry ?? null, version, nowMs);
    checkHash(entry, before?.entry ?? null, scid, version);
    if (before === null) {
      await breathe();
      checkScid(entry, scid, version);
    }
    checkName(entry, before, scid, version);
    await checkProofs(entry, signersOf(before?.parameters ?? null, parameters, version), proofs, version);
    const witness = witnessesOf(before?.parameters ?? null, parameters);
    if (witness.threshold > 0) duties.push({ ...witness, version });
    versions.set(entry.versionId, version);
    before = { entry, parameters };
  }
  if (before === null) throw broken('it is empty');
  const { entry, parameters } = before;
  const { deactivated, ttl } = parameters;
  return { state: entry.state, deactivated, ttl, versions, newest: entry.versionId, duties };
}

/**
 * Checks that enough witnesses approved each version, or a later one (section 3.7.8).
 * @param file did-witness.json
 * @throws DidError did_unresolvable
 */
export async function checkWitnesses(history: History, file: Uint8Array, nowMs: number): Promise<void> {
  const { versions, duties } = history;
  const needed = new Set(duties.flatMap(({ witnesses }) => [...witnesses]));
  /** The newest version that each witness approved. */
  const approved = new Map<string, number>();
  const proofs = new Proofs(nowMs);
  const sets = parseJson(file, WITNESS_VALUES_MAX);
  if (!Array.isArray(sets)) throw broken('its witness file is not a list');
  let verified = 0;
  for (const set of sets as unknown[]) {
    const { versionId, proof } = isJsonObject(set) ? set : {};
    const version = typeof versionId === 'string' ? versions.get(versionId) : undefined;
    if (version === undefined) continue;
    const hash = documentHash(canonical({ versionId }, version));
    for (const one of Array.isArray(proof) ? (proof as unknown[]) : []) {
      const counts = (multikey: string): boolean => {
        if (!needed.has(multikey) || (approved.get(multikey) ?? 0) >= version) return false;
        verified += 1;
        return verified <= WITNESS_PROOFS_MAX;
      };
      const witness = await proofs.signer(one, hash, counts);
      if (witness !== null) approved.set(witness, version);
      if (verified % BREATH === 0) await breathe();
    }
  }
  for (const { version, threshold, witnesses } of duties) {
    const approvals = [...witnesses].filter((witness) => (approved.get(witness) ?? 0) >= version).length;
    if (approvals < threshold) throw broken(`version ${version} has ${approvals} of ${threshold} witnesses`);
  }
}

/** JSON Lines: one entry each, the last ended or not. */
function linesOf(log: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let at = 0; at < log.length && lines.length <= ENTRIES_MAX; ) {
    const found = log.indexOf(0x0a, at);
    const end = found < 0 ? log.length : found;
    lines.push(log.subarray(at, end));
    at = end + 1;
  }
  return lines;
}

function entryOf(line: Buffer, version: number): Entry {
  const entry = parseJsonObject(line);
  const { proof, ...signed } = entry;
  const { versionId, versionTime, parameters, state } = entry;
  const whole = Object.keys(entry).sort().join() === MEMBERS.join();
  if (!whole || typeof versionId !== 'string' || !isJsonObject(parameters) || !isJsonObject(state)) {
    throw broken(`version ${version} is not an entry`);
  }
  const timeMs =
    typeof versionTime === 'string' && UTC.test(versionTime) ? Date.parse(versionTime) : Number.NaN;
  return { versionId, timeMs, parameters, state, signed, proofs: Array.isArray(proof) ? proof : [proof] };
}

function checkTime({ timeMs }: Entry, before: Entry | null, version: number, nowMs: number): void {
  const sound = timeMs <= nowMs + CLOCK_SKEW_MS && (before === null || timeMs > before.timeMs);
  if (!sound) throw broken(`the time of version ${version} is none, not after the last, or in the future`);
}

/** The number and the hash in a version's id. */
function checkHash(entry: Entry, before: Entry | null, scid: string, version: number): void {
  const { signed, versionId } = entry;
  const predecessor = before?.versionId ?? scid;
  const hash = multihash(canonical({ ...signed, versionId: predecessor }, version));
  if (versionId !== `${version}-${hash}`) throw broken(`the hash of version ${version} is another`);
}

/** Of the first version, that its hash is the name of the log. */
function checkScid({ signed }: Entry, scid: string, version: number): void {
  // As a text: the SCID may stand anywhere in it.
  const text = JSON.stringify({ ...signed, versionId: PLACEHOLDER }).replaceAll(scid, PLACEHOLDER);
  if (multihash(canonical(JSON.parse(text), version)) !== scid)
    throw broken('it is not the log of this SCID');
}

/** A DID keeps its name, unless it was made portable and the new document owns up to the old name (section 3.7.6). */
function checkName(
  { state }: Entry,
  before: { readonly entry: Entry; readonly parameters: Parameters } | null,
  scid: string,
  version: number,
): void {
  const { id, alsoKnownAs } = state;
  if (typeof id !== 'string' || !id.startsWith(`did:webvh:${scid}:`)) {
    throw broken(`version ${version} is the document of another DID`);
  }
  if (before === null || id === before.entry.state.id) return;
  const owned = Array.isArray(alsoKnownAs) && alsoKnownAs.includes(before.entry.state.id);
  if (!before.parameters.portable || !owned) throw broken(`version ${version} moves a DID that may not move`);
}

/** Whose proof counts: the keys that the version before named, or those it has committed itself to (sections 3.7.5, 3.7.7). */
function signersOf(before: Parameters | null, now: Parameters, version: number): readonly string[] {
  if (before === null) return now.updateKeys;
  if (before.deactivated) throw broken(`version ${version} comes after the end`);
  if (before.nextKeyHashes.length === 0) return before.updateKeys;
  const committed = now.updateKeys.every((key) => before.nextKeyHashes.includes(multihash(key)));
  if (!committed) throw broken(`version ${version} names a key that was not announced`);
  return now.updateKeys;
}

/** All proofs have to be good, and there has to be one. */
async function checkProofs(
  { proofs: given, signed }: Entry,
  signers: readonly string[],
  proofs: Proofs,
  version: number,
): Promise<void> {
  const count = given.length;
  if (count === 0 || count > PROOFS_PER_ENTRY_MAX) throw broken(`version ${version} has ${count} proofs`);
  await breathe();
  const hash = documentHash(canonical(signed, version));
  for (const proof of given) {
    const signer = await proofs.signer(proof, hash, (multikey) => signers.includes(multikey));
    if (signer === null) throw broken(`version ${version} is not proven by a key that may`);
  }
}

/** A change of witnesses is theirs to approve who were there before; where there were none, the new ones begin at once. */
function witnessesOf(before: Parameters | null, now: Parameters): Witnessing {
  return before !== null && before.witness.threshold > 0 ? before.witness : now.witness;
}

function canonical(value: unknown, version: number): string {
  try {
    return canonicalJson(value);
  } catch (error) {
    throw broken(`version ${version} has no canonical form`, error);
  }
}

function broken(why: string, cause?: unknown): DidError {
  return new DidError('did_unresolvable', `the log of the DID is not sound: ${why}`, cause);
}
