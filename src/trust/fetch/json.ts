import { FetchError } from './errors.ts';

/** A DID document nests to 5. Deeper is for those who walk it by recursion, and break. */
const DEPTH_MAX = 32;

export type JsonObject = Readonly<Record<string, unknown>>;

/** Members and elements. A document with 64 keys has some 400; walking this many takes about a millisecond. */
export const JSON_VALUES_MAX = 4_096;

/**
 * One JSON value in UTF-8. Refused beyond what JSON.parse refuses: a byte order mark (RFC 8259, section 8.1), a member
 * name that stands twice in an object (RFC 7493, section 2.3: two readers would see two documents), deep nesting, more
 * members and elements than are worth the time.
 * @throws FetchError fetch_not_json
 */
export function parseJson(bytes: Uint8Array, valuesMax: number = JSON_VALUES_MAX): unknown {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw unreadable(error);
  }
  // Before it is parsed: what is refused for its shape costs a look at its characters.
  const { depth, members, separators } = shapeOf(text, valuesMax);
  if (depth > DEPTH_MAX) throw new FetchError('fetch_not_json', `nested deeper than ${DEPTH_MAX}`);
  if (separators > valuesMax) throw new FetchError('fetch_not_json', `more than ${valuesMax} values`);
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw unreadable(error);
  }
  // JSON.parse keeps the last of two members with one name.
  if (members !== countMembers(value)) throw new FetchError('fetch_not_json', 'a member name stands twice');
  return value;
}

function unreadable(error: unknown): FetchError {
  return new FetchError('fetch_not_json', error instanceof Error ? error.message : 'unreadable', error);
}

/** As `parseJson`, and an object. @throws FetchError fetch_not_json */
export function parseJsonObject(bytes: Uint8Array): JsonObject {
  const value = parseJson(bytes);
  if (!isJsonObject(value)) throw new FetchError('fetch_not_json', 'not an object');
  return value;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Shape {
  readonly depth: number;
  /** How many members its objects are written with. */
  readonly members: number;
  /** Commas and openings: there are no more values than these and one. */
  readonly separators: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** Of a text that may be JSON; given up once it has more separators than `separatorsMax`. */
function shapeOf(text: string, separatorsMax: number): Shape {
  let depth = 0;
  let deepest = 0;
  let members = 0;
  let separators = 0;
  for (let at = 0; at < text.length && separators <= separatorsMax; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === COLON) members += 1;
    else if (code === COMMA) separators += 1;
    // `{` and `[`, and what closes them.
    else if (code === 0x7b || code === 0x5b) {
      separators += 1;
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (code === 0x7d || code === 0x5d) depth -= 1;
  }
  return { depth: deepest, members, separators };
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at;
}

function countMembers(root: unknown): number {
  let members = 0;
  const pending: unknown[] = [root];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const inside: unknown[] = Object.values(value);
    if (!Array.isArray(value)) members += inside.length;
    for (const inner of inside) pending.push(inner);
  }
  return members;
}
