/**
 * What a message looked like on the wire. A view is made from `rawHeaders`, never from a merged headers object:
 * merging drops duplicates, and a duplicate is often the attack.
 */
import { WireError } from './errors.ts';
import type { Dictionary } from './structured-fields.ts';
import { parseDictionary } from './structured-fields.ts';

/**
 * No message with more field lines than this is looked at: every look-up walks the names, so this bounds the
 * work of the worst message to 32 components times 256 names. Servers commonly allow 100.
 */
export const FIELD_LINES_MAX = 256;

/** The header section or the trailer section of one message. */
export class FieldLines {
  /** Flat name, value, name, value, as received. */
  readonly raw: readonly string[];
  /** Lower-cased, one for each line; pseudo-header names keep their colon and so match no field. */
  readonly names: readonly string[];
  /** Parsed once, however many components name a member of it. */
  private dictionaries: Map<string, Dictionary> | null = null;

  /** @throws {WireError} too_many_fields */
  constructor(raw: readonly string[]) {
    if (raw.length > 2 * FIELD_LINES_MAX) throw new WireError('too_many_fields');
    const names: string[] = [];
    for (let at = 0; at < raw.length; at += 2) names.push((raw[at] as string).toLowerCase());
    this.raw = raw;
    this.names = names;
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** The value of the line at `index` of `names`, unfolded and trimmed. */
  line(index: number): string {
    return trimmed(this.raw[2 * index + 1] ?? '');
  }

  /**
   * The combined value (RFC 9421, section 2.1): each line trimmed, joined by `, `; undefined when there is none. Cookies
   * that HTTP/2 sent apart are put together as they were, and as an agent gets them (RFC 9113, section 8.2.3).
   */
  value(name: string): string | undefined {
    let at = this.names.indexOf(name);
    if (at < 0) return undefined;
    let value = this.line(at);
    for (at = this.names.indexOf(name, at + 1); at >= 0; at = this.names.indexOf(name, at + 1)) {
      value += (name === 'cookie' ? '; ' : ', ') + this.line(at);
    }
    return value;
  }

  /** Every line of that name, in order. */
  lines(name: string): string[] {
    const lines: string[] = [];
    for (let at = this.names.indexOf(name); at >= 0; at = this.names.indexOf(name, at + 1))
      lines.push(this.line(at));
    return lines;
  }

  /** The field as a Dictionary, or undefined when it is absent. @throws {WireError} structured_field_invalid */
  dictionary(name: string): Dictionary | undefined {
    const known = this.dictionaries?.get(name);
    if (known !== undefined) return known;
    const value = this.value(name);
    if (value === undefined) return undefined;
    const dictionary = parseDictionary(value);
    this.dictionaries ??= new Map();
    this.dictionaries.set(name, dictionary);
    return dictionary;
  }
}

/** Without white space at its ends; obsolete line folding becomes one space (RFC 9421, section 2.1, steps 2 and 3). */
function trimmed(value: string): string {
  const first = value.charCodeAt(0);
  const last = value.charCodeAt(value.length - 1);
  // Almost every value needs nothing; a fold inside one always shows as a line feed.
  if (first > 0x20 && last > 0x20 && !value.includes('\n')) return value;
  return withoutBlanks(value.includes('\n') ? unfolded(value) : value, true, true);
}

/** A line that begins with white space continues the one before it. */
function unfolded(value: string): string {
  const lines = value.split('\n');
  let text = '';
  for (const [at, line] of lines.entries()) {
    const continues = at > 0 && isBlank(line.charCodeAt(0));
    const continued = isBlank(lines[at + 1]?.charCodeAt(0) ?? 0);
    const whole = continued && line.endsWith('\r') ? line.slice(0, -1) : line;
    // A line feed that folds nothing stays, and is refused where the value is used.
    if (at > 0) text += continues ? ' ' : '\n';
    text += withoutBlanks(whole, continues, continued);
  }
  return text;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Not by regular expressions: theirs take the square of the length of white space inside a value. */
function withoutBlanks(text: string, atStart: boolean, atEnd: boolean): string {
  let start = 0;
  let end = text.length;
  while (atStart && isBlank(text.charCodeAt(start))) start += 1;
  while (atEnd && end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

export interface RequestParts {
  readonly method: string;
  /** From configuration: the peer's `:scheme` says nothing. */
  readonly scheme: string;
  /** The configured authority that this request was made for. */
  readonly authority: string;
  /** Path and query, byte for byte as on the request line. */
  readonly target: string;
  readonly rawHeaders: readonly string[];
  readonly rawTrailers?: readonly string[];
}

export interface RequestView {
  readonly kind: 'request';
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly target: string;
  readonly fields: FieldLines;
  readonly trailers: FieldLines | null;
  /** Where the path of `target` begins: 0 but for the absolute form. */
  readonly pathAt: number;
  /** Where its `?` stands, or -1. */
  readonly queryAt: number;
}

export interface ResponseParts {
  readonly status: number;
  readonly rawHeaders: readonly string[];
  readonly rawTrailers?: readonly string[];
  /** The request this answers, for components with `;req`. */
  readonly request?: RequestView;
}

export interface ResponseView {
  readonly kind: 'response';
  readonly status: number;
  readonly fields: FieldLines;
  readonly trailers: FieldLines | null;
  readonly request: RequestView | null;
}

export type MessageView = RequestView | ResponseView;

/** @throws {WireError} too_many_fields */
export function requestView(parts: RequestParts): RequestView {
  const { method, scheme, authority, target, rawHeaders, rawTrailers } = parts;
  return {
    kind: 'request',
    method,
    scheme: scheme.toLowerCase(),
    authority: normalAuthority(authority, scheme),
    target,
    fields: new FieldLines(rawHeaders),
    trailers: rawTrailers === undefined ? null : new FieldLines(rawTrailers),
    pathAt: pathStart(target),
    queryAt: target.indexOf('?'),
  };
}

/** @throws {WireError} too_many_fields */
export function responseView(parts: ResponseParts): ResponseView {
  const { status, rawHeaders, rawTrailers, request } = parts;
  return {
    kind: 'response',
    status,
    fields: new FieldLines(rawHeaders),
    trailers: rawTrailers === undefined ? null : new FieldLines(rawTrailers),
    request: request ?? null,
  };
}

/** A view of either kind from its parts; a view is given back as it is. @throws {WireError} too_many_fields */
export function messageView(message: MessageView | RequestParts | ResponseParts): MessageView {
  if ('kind' in message) return message;
  return 'method' in message ? requestView(message) : responseView(message);
}

/** The absolute form (RFC 9112, section 3.2.2) has a scheme and an authority before its path. */
function pathStart(target: string): number {
  const authorityAt = absoluteAuthorityStart(target);
  if (authorityAt < 0) return 0;
  for (let at = authorityAt; at < target.length; at += 1) {
    const code = target.charCodeAt(at);
    if (code === 0x2f || code === 0x3f) return at;
  }
  return target.length;
}

/** Where the authority of an absolute-form target begins, or -1 for every other form. */
export function absoluteAuthorityStart(target: string): number {
  // The origin form, which is nearly every request, is told by its first character.
  if (target.charCodeAt(0) === 0x2f) return -1;
  const match = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.exec(target);
  return match === null ? -1 : match[0].length;
}

/** Lower-cased, without the default port of the scheme (RFC 9421, section 2.2.3). */
export function normalAuthority(authority: string, scheme: string): string {
  const lower = authority.toLowerCase();
  const port = scheme.toLowerCase() === 'https' ? ':443' : ':80';
  return lower.endsWith(port) ? lower.slice(0, -port.length) : lower;
}
