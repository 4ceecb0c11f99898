/**
 * Chooses the one signature of a message that is worth a key look-up (RFC 9421, sections 4 and 3.2, step 1).
 *
 * Labels mean nothing and anybody on the way may add signatures of their own, so a foreign, unreadable or
 * repeated one is passed over as long as a good one remains. To that end the two fields are read member by
 * member and line by line, with recovery at the next comma, where a Dictionary parser would refuse the whole.
 */
import { type Bytes, decodeBase64 } from './bytes.ts';
import type { Component, ComponentList } from './components.ts';
import { componentList } from './components.ts';
import { WireError } from './errors.ts';
import type { FieldLines, MessageView } from './message.ts';
import { Scanner } from './scanner.ts';
import { serialiseParameters } from './serialise.ts';
import type { BareItem } from './structured-fields.ts';

/** Characters over all lines: room for four signatures of a dozen components with long key ids. */
export const SIGNATURE_INPUT_LENGTH_MAX = 8192;
/** Characters over all lines: four RSA-4096 signatures are 2.8 KB. */
export const SIGNATURE_LENGTH_MAX = 8192;
/** The caller's, two proxies' and one to spare. */
const SIGNATURES_MAX = 4;
/** Nonces are stored until they expire; 64 random bytes in base64 are 88 characters. */
const NONCE_LENGTH_MAX = 256;
/** A did:jwk of an RSA-4096 key with its fragment is about 1,100 characters. */
const KEYID_LENGTH_MAX = 2048;
/** Six are registered; the rest is room for those to come. */
const UNKNOWN_PARAMETERS_MAX = 10;
/** Names from registries, all short. */
const NAME_LENGTH_MAX = 128;

export interface SignatureParams {
  /** Seconds since the epoch, as is `expires`. */
  created: number | undefined;
  expires: number | undefined;
  nonce: string | undefined;
  keyid: string | undefined;
  alg: string | undefined;
  tag: string | undefined;
}

/** A signature that could be read; nothing about it has been proven. */
export interface Signature {
  readonly label: string;
  readonly components: readonly Component[];
  readonly params: Readonly<SignatureParams>;
  readonly signature: Bytes;
  /** Canonical identifiers, exact parameters included: `"@method"`, `"content-digest";req`. */
  readonly covered: ReadonlySet<string>;
  /** The value of the `@signature-params` line (section 2.3). */
  readonly paramsLine: string;
}

export interface SignatureChoice {
  /** The tag of the profile; undefined means those that carry none. Not looked at when a label is given. */
  readonly tag?: string | undefined;
  /** Only this one; for tests and for callers who were told a label. */
  readonly label?: string | undefined;
}

/** One member of Signature-Input, read as far as it could be. */
interface Candidate {
  readonly label: string;
  readonly list: ComponentList | null;
  readonly params: SignatureParams;
  readonly paramsLine: string;
  fault: WireError | null;
}

/**
 * The first signature of the wanted tag that can be read and has `created`, `keyid` and `nonce`; else the first
 * that can be read; null when the message has no signature at all.
 * @throws {WireError} as `signaturesFor` does
 */
export function selectSignature(view: MessageView, choice: SignatureChoice = {}): Signature | null {
  const { tag } = choice;
  const named = choice.label;
  const wants: WantedSignature =
    named === undefined ? (_label, params) => params.tag === tag : (label) => label === named;
  return signaturesFor(view, wants, named ?? tag)?.[0] ?? null;
}

/** Whether a signature may be the one that is asked for, by what it says of itself. */
export type WantedSignature = (label: string, params: Readonly<SignatureParams>) => boolean;

/**
 * The signatures that are wanted and can be read, those with `created`, `keyid` and `nonce` first, else in their order;
 * null when the message has no signature at all. At most four, so that trying one after the other is bounded.
 * @param asked what to call it when there is none, such as a tag
 * @throws {WireError} too_many_signatures, signature_fields_too_large, signature_incomplete, signature_not_found,
 * and whatever is wrong with the first candidate when none can be read
 */
export function signaturesFor(
  view: MessageView,
  wants: WantedSignature,
  asked?: string,
): readonly Signature[] | null {
  const { fields } = view;
  const hasInput = fields.has('signature-input');
  if (hasInput !== fields.has('signature')) throw new WireError('signature_incomplete');
  if (!hasInput) return null;
  const candidates = readInputs(boundedLines(fields, 'signature-input', SIGNATURE_INPUT_LENGTH_MAX));
  const signatures = readSignatures(boundedLines(fields, 'signature', SIGNATURE_LENGTH_MAX));
  const complete: Signature[] = [];
  const incomplete: Signature[] = [];
  let fault: WireError | null = null;
  for (const candidate of candidates) {
    // One that broke before its tag may be the one that was meant; it can only be refused, and its fault is the reason.
    const { label, params } = candidate;
    const broken = candidate.fault !== null && params.tag === undefined;
    if (!wants(label, params) && !broken) continue;
    const signature = candidate.fault ?? join(candidate, signatures);
    if (signature instanceof WireError) fault ??= signature;
    else if (isComplete(signature.params)) complete.push(signature);
    else incomplete.push(signature);
  }
  if (incomplete.length > 0) complete.push(...incomplete);
  if (complete.length > 0) return complete;
  throw fault ?? new WireError('signature_not_found', asked);
}

function isComplete(params: SignatureParams): boolean {
  return params.created !== undefined && params.keyid !== undefined && params.nonce !== undefined;
}

function boundedLines(fields: FieldLines, name: string, lengthMax: number): string[] {
  const lines = fields.lines(name);
  let length = 0;
  for (const line of lines) length += line.length;
  if (length > lengthMax) throw new WireError('signature_fields_too_large', name);
  return lines;
}

/** Undefined when Signature has no member of that label, null when it has one that cannot be read. */
type Signatures = ReadonlyMap<string, Bytes | WireError>;

function join(candidate: Candidate, signatures: Signatures): Signature | WireError {
  const { label, list, params, paramsLine } = candidate;
  const signature = signatures.get(label);
  if (signature === undefined) return new WireError('signature_incomplete', label);
  if (signature instanceof WireError) return signature;
  if (list === null) return new WireError('signature_malformed', label);
  return { label, components: list.components, params, signature, covered: list.covered, paramsLine };
}

function readInputs(lines: readonly string[]): Candidate[] {
  const candidates: Candidate[] = [];
  eachMember(lines, (scanner) => {
    const candidate = readInput(scanner);
    for (const other of candidates) {
      // Two of one label: nobody can say which of them the signature belongs to, so neither counts.
      if (other.label === candidate.label && candidate.label !== '') {
        candidate.fault = new WireError('signature_label_repeated', candidate.label);
        other.fault = candidate.fault;
      }
    }
    candidates.push(candidate);
    return candidate.fault === null;
  });
  return candidates;
}

/** Reads `label=("a" "b");created=1`; what is wrong with it is kept, not thrown. */
function readInput(scanner: Scanner): Candidate {
  const params = noParams();
  let label = '';
  try {
    label = scanner.key();
    scanner.expect(EQUALS);
    const { text, at } = scanner;
    const end = innerListEnd(text, at);
    if (end < 0) scanner.fail();
    scanner.at = end;
    const list = attempt(() => componentList(text.slice(at, end)));
    readParams(scanner, params);
    const paramsEnd = scanner.at;
    expectMemberEnd(scanner);
    if (list instanceof WireError) return { label, list: null, params, paramsLine: '', fault: list };
    const paramsText = scanner.canonical ? text.slice(end, paramsEnd) : canonicalParams(text, end);
    return { label, list, params, paramsLine: list.text + paramsText, fault: null };
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    const fault =
      error.code === 'structured_field_invalid' ? new WireError('signature_malformed', label) : error;
    return { label, list: null, params, paramsLine: '', fault };
  }
}

function attempt<T>(read: () => T): T | WireError {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
}

const QUOTE = 0x22;
const OPEN = 0x28;
const CLOSE = 0x29;
const COMMA = 0x2c;
const COLON = 0x3a;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;

/** Just past the parenthesis that closes the inner list at `at`, or -1. Strings may hold parentheses. */
function innerListEnd(text: string, at: number): number {
  if (text.charCodeAt(at) !== OPEN) return -1;
  let quoted = false;
  for (let index = at + 1; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) quoted = !quoted;
    else if (code === BACKSLASH && quoted) index += 1;
    else if (code === CLOSE && !quoted) return index + 1;
  }
  return -1;
}

function noParams(): SignatureParams {
  return {
    created: undefined,
    expires: undefined,
    nonce: undefined,
    keyid: undefined,
    alg: undefined,
    tag: undefined,
  };
}

/**
 * Unknown parameters are allowed (section 2.3 lets them be registered) and covered by the signature like the
 * others. A repeated one is not: parsers disagree about which of two counts.
 */
function readParams(scanner: Scanner, params: SignatureParams): void {
  let unknown: Set<string> | null = null;
  for (let key = scanner.parameterKey(); key !== null; key = scanner.parameterKey()) {
    const value = scanner.parameterValue();
    switch (key) {
      case 'created':
      case 'expires':
        if (params[key] !== undefined) throw new WireError('parameter_repeated', key);
        if (typeof value !== 'number') throw new WireError('parameter_invalid', key);
        params[key] = value;
        break;
      case 'nonce':
      case 'keyid':
      case 'alg':
      case 'tag':
        if (params[key] !== undefined) throw new WireError('parameter_repeated', key);
        params[key] = boundedString(key, value);
        break;
      default:
        unknown ??= new Set();
        if (unknown.has(key)) throw new WireError('parameter_repeated', key);
        if (unknown.size === UNKNOWN_PARAMETERS_MAX) throw new WireError('too_many_parameters');
        unknown.add(key);
    }
  }
}

function boundedString(key: 'nonce' | 'keyid' | 'alg' | 'tag', value: BareItem): string {
  if (typeof value !== 'string' || value === '') throw new WireError('parameter_invalid', key);
  const lengthMax = key === 'nonce' ? NONCE_LENGTH_MAX : key === 'keyid' ? KEYID_LENGTH_MAX : NAME_LENGTH_MAX;
  if (value.length > lengthMax) throw new WireError('parameter_invalid', key);
  return value;
}

function canonicalParams(text: string, at: number): string {
  return serialiseParameters(new Scanner(text, at).parameters());
}

function readSignatures(lines: readonly string[]): Signatures {
  const signatures = new Map<string, Bytes | WireError>();
  eachMember(lines, (scanner) => {
    let label = '';
    let signature: Bytes | WireError;
    try {
      label = scanner.key();
      signature = readSignature(scanner);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      signature = new WireError('signature_malformed', label);
    }
    const repeated = signatures.has(label);
    signatures.set(label, repeated ? new WireError('signature_label_repeated', label) : signature);
    return !(signature instanceof WireError);
  });
  return signatures;
}

/** `=:base64:`, and parameters that say nothing to us. */
function readSignature(scanner: Scanner): Bytes {
  scanner.expect(EQUALS);
  scanner.expect(COLON);
  const end = scanner.text.indexOf(':', scanner.at);
  const signature = end < 0 ? null : decodeBase64(scanner.text.slice(scanner.at, end));
  if (signature === null || signature.length === 0) return scanner.fail();
  scanner.at = end + 1;
  scanner.parameters();
  expectMemberEnd(scanner);
  return signature;
}

function expectMemberEnd(scanner: Scanner): void {
  scanner.skipOptionalWhitespace();
  if (!scanner.atEnd() && scanner.peek() !== COMMA) scanner.fail();
}

/** `read` leaves the scanner where its member ends, or answers false, and the rest of the member is skipped. */
function eachMember(lines: readonly string[], read: (scanner: Scanner) => boolean): void {
  let members = 0;
  for (const line of lines) {
    const scanner = new Scanner(line);
    while (!scanner.atEnd()) {
      members += 1;
      if (members > SIGNATURES_MAX) throw new WireError('too_many_signatures');
      const start = scanner.at;
      scanner.canonical = true;
      if (!read(scanner)) scanner.at = memberEnd(line, start);
      // At the comma, or at the end.
      scanner.at += 1;
      scanner.skipOptionalWhitespace();
    }
  }
}

/** The next comma that stands in no string, or the end. */
function memberEnd(text: string, at: number): number {
  let quoted = false;
  for (let index = at; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) quoted = !quoted;
    else if (code === BACKSLASH && quoted) index += 1;
    else if (code === COMMA && !quoted) return index;
  }
  return text.length;
}
