import { FetchError } from './errors.ts';

/** A DID document nests to 5. Deeper is for those who walk it by recursion, and break. */
const DEPTH_MAX = 32;

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * One JSON value in UTF-8. Refused beyond what JSON.parse refuses: a byte order mark (RFC 8259, section 8.1), a member
 * name that stands twice in an object (RFC 7493, section 2.3: two readers would see two documents), deep nesting.
 * @throws FetchError fetch_not_json
 */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw new FetchError('fetch_not_json', error instanceof Error ? error.message : 'unreadable', error);
  }
  const { depth, members } = shapeOf(text);
  if (depth > DEPTH_MAX) throw new FetchError('fetch_not_json', `nested deeper than ${DEPTH_MAX}`);
  // JSON.parse keeps the last of two members with one name.
  if (members !== countMembers(value)) throw new FetchError('fetch_not_json', 'a member name stands twice');
  return value;
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

/** Of a text that is JSON: how deep it nests, and how many members its objects are written with. */
function shapeOf(text: string): { depth: number; members: number } {
  let depth = 0;
  let deepest = 0;
  let members = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '"') at = endOfString(text, at);
    else if (character === ':') members += 1;
    else if (character === '{' || character === '[') {
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (character === '}' || character === ']') depth -= 1;
  }
  return { depth: deepest, members };
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
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
