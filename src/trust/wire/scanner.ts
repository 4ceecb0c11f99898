/**
 * The scanner under everything that reads structured fields (RFC 9651, section 4.2): one pass over char codes,
 * no backtracking, so its work is linear in the text; the bound on the text is its caller's.
 */
import { type Bytes, decodeBase64 } from './bytes.ts';
import { WireError } from './errors.ts';
import type { BareItem, InnerList, Item, Member, Parameters } from './structured-fields.ts';

const TAB = 0x09;
const SPACE = 0x20;
const QUOTE = 0x22;
const PERCENT = 0x25;
const OPEN = 0x28;
const CLOSE = 0x29;
const STAR = 0x2a;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUESTION = 0x3f;
const AT = 0x40;
const BACKSLASH = 0x5c;

/** Section 3.3.1 and 3.3.2: fifteen digits in all, of which a Decimal has at most three after its point. */
const INTEGER_DIGITS_MAX = 15;
const DECIMAL_INTEGER_DIGITS_MAX = 12;
const DECIMAL_FRACTION_DIGITS_MAX = 3;

const NO_PARAMETERS: Parameters = new Map();

const KEY_START = 1;
const KEY_PART = 2;
const TOKEN_PART = 4;

/** What each ASCII character may begin or continue. */
const CHARACTERS = (() => {
  const table = new Uint8Array(128);
  for (let code = 0; code < 128; code += 1) {
    const char = String.fromCharCode(code);
    if (/[a-z*]/.test(char)) table[code] = (table[code] ?? 0) | KEY_START;
    if (/[a-z0-9_\-.*]/.test(char)) table[code] = (table[code] ?? 0) | KEY_PART;
    if (/[!#$%&'*+\-.^_`|~0-9A-Za-z:/]/.test(char)) table[code] = (table[code] ?? 0) | TOKEN_PART;
  }
  return table;
})();

/** False for NaN, which `charCodeAt` answers past the end, and for everything that is not ASCII. */
function isA(code: number, what: number): boolean {
  return code < 128 && ((CHARACTERS[code] ?? 0) & what) !== 0;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function isAlpha(code: number): boolean {
  return (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
}

function isLowerHex(code: number): boolean {
  return isDigit(code) || (code >= 0x61 && code <= 0x66);
}

export class Scanner {
  readonly text: string;
  at: number;
  /** Becomes false when what was read is not what serialising it would write; may err on that side. */
  canonical = true;

  constructor(text: string, at = 0) {
    this.text = text;
    this.at = at;
  }

  fail(): never {
    throw new WireError('structured_field_invalid', `at character ${this.at}`);
  }

  atEnd(): boolean {
    return this.at >= this.text.length;
  }

  expectEnd(): void {
    if (this.at < this.text.length) this.fail();
  }

  peek(): number {
    return this.text.charCodeAt(this.at);
  }

  expect(code: number): void {
    if (this.text.charCodeAt(this.at) !== code) this.fail();
    this.at += 1;
  }

  skipSpaces(): void {
    while (this.text.charCodeAt(this.at) === SPACE) this.at += 1;
  }

  skipOptionalWhitespace(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== SPACE && code !== TAB) return;
      this.at += 1;
    }
  }

  /** Moves to the next member of a List or Dictionary; false at the end. A trailing comma is an error. */
  nextMember(): boolean {
    this.skipOptionalWhitespace();
    if (this.atEnd()) return false;
    this.expect(COMMA);
    this.skipOptionalWhitespace();
    if (this.atEnd()) this.fail();
    return true;
  }

  /** A key (4.2.3.3). */
  key(): string {
    const start = this.at;
    if (!isA(this.peek(), KEY_START)) this.fail();
    let end = start + 1;
    while (isA(this.text.charCodeAt(end), KEY_PART)) end += 1;
    this.at = end;
    return this.text.slice(start, end);
  }

  member(): Member {
    return this.peek() === OPEN ? this.innerList() : this.item();
  }

  /** What stands after the key of a Dictionary member; without `=` it is true (4.2.2). */
  dictionaryValue(): Member {
    if (this.peek() !== EQUALS) return { value: true, params: this.parameters() };
    this.at += 1;
    return this.member();
  }

  item(): Item {
    const value = this.bareItem();
    return { value, params: this.parameters() };
  }

  /** An Inner List with its parameters (4.2.1.2). */
  innerList(): InnerList {
    const items: Item[] = [];
    this.openList();
    while (this.nextItem(items.length === 0)) items.push(this.item());
    return { items, params: this.parameters() };
  }

  openList(): void {
    this.expect(OPEN);
  }

  /** Moves to the next item of an Inner List; false past its closing parenthesis. Items are parted by spaces. */
  nextItem(isFirst: boolean): boolean {
    const code = this.peek();
    if (!isFirst && code !== SPACE && code !== CLOSE) this.fail();
    this.skipSpaces();
    if (this.peek() !== CLOSE) return true;
    this.at += 1;
    return false;
  }

  parameters(): Parameters {
    if (this.peek() !== SEMICOLON) return NO_PARAMETERS;
    const params = new Map<string, BareItem>();
    for (let key = this.parameterKey(); key !== null; key = this.parameterKey()) {
      params.set(key, this.parameterValue());
    }
    return params;
  }

  /** The key of the next parameter (4.2.3.2), or null when there is none. */
  parameterKey(): string | null {
    if (this.peek() !== SEMICOLON) return null;
    this.at += 1;
    if (this.peek() === SPACE) {
      this.canonical = false;
      this.skipSpaces();
    }
    return this.key();
  }

  /** The value that follows a parameter's key; without `=` it is true. */
  parameterValue(): BareItem {
    if (this.peek() !== EQUALS) return true;
    this.at += 1;
    const value = this.bareItem();
    // `;a=?1` is written `;a`.
    if (value === true) this.canonical = false;
    return value;
  }

  bareItem(): BareItem {
    const code = this.peek();
    if (code === QUOTE) return this.string();
    if (code === MINUS || isDigit(code)) return this.number();
    if (code === COLON) return this.bytes();
    if (code === QUESTION) return this.boolean();
    if (code === STAR || isAlpha(code)) return this.token();
    if (code === AT) return this.date();
    if (code === PERCENT) return this.displayString();
    return this.fail();
  }

  /** A String (4.2.5): printable ASCII, `\"` and `\\` the only escapes. */
  private string(): string {
    const { text } = this;
    const start = this.at + 1;
    let escaped = false;
    let at = start;
    for (; ; at += 1) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) break;
      if (code === BACKSLASH) {
        at += 1;
        const next = text.charCodeAt(at);
        if (next !== QUOTE && next !== BACKSLASH) break;
        escaped = true;
      } else if (!(code >= SPACE && code < 0x7f)) {
        break;
      }
    }
    // Left the loop at anything but a closing quote (an end of the text included): not a String.
    if (text.charCodeAt(at) !== QUOTE) {
      this.at = at;
      this.fail();
    }
    this.at = at + 1;
    const body = text.slice(start, at);
    return escaped ? body.replace(/\\(["\\])/g, '$1') : body;
  }

  /** An Integer or a Decimal (4.2.4). */
  private number(): BareItem {
    const { text } = this;
    const start = this.at;
    let at = text.charCodeAt(start) === MINUS ? start + 1 : start;
    const first = at;
    while (isDigit(text.charCodeAt(at))) at += 1;
    const digits = at - first;
    this.at = at;
    if (digits === 0) this.fail();
    if (text.charCodeAt(at) !== DOT) {
      if (digits > INTEGER_DIGITS_MAX) this.fail();
      if (text.charCodeAt(first) === ZERO && (digits > 1 || first > start)) this.canonical = false;
      // `-0` is the Integer 0.
      return Number(text.slice(start, at)) + 0;
    }
    if (digits > DECIMAL_INTEGER_DIGITS_MAX) this.fail();
    at += 1;
    const fraction = at;
    while (isDigit(text.charCodeAt(at))) at += 1;
    this.at = at;
    if (at === fraction || at - fraction > DECIMAL_FRACTION_DIGITS_MAX) this.fail();
    this.canonical = false;
    return { type: 'decimal', value: Number(text.slice(start, at)) + 0 };
  }

  /** A Byte Sequence (4.2.7), strictly: what does not encode back to the same text is refused. */
  private bytes(): Bytes {
    const start = this.at + 1;
    const end = this.text.indexOf(':', start);
    if (end < 0) this.fail();
    const encoded = this.text.slice(start, end);
    const bytes = decodeBase64(encoded);
    if (bytes === null) this.fail();
    this.at = end + 1;
    return bytes;
  }

  private boolean(): boolean {
    const code = this.text.charCodeAt(this.at + 1);
    if (code !== 0x30 && code !== 0x31) this.fail();
    this.at += 2;
    return code === 0x31;
  }

  private token(): BareItem {
    const start = this.at;
    let end = start + 1;
    while (isA(this.text.charCodeAt(end), TOKEN_PART)) end += 1;
    this.at = end;
    return { type: 'token', value: this.text.slice(start, end) };
  }

  /** A Date (4.2.9): an Integer of seconds after `@`. */
  private date(): BareItem {
    this.at += 1;
    const code = this.peek();
    if (code !== MINUS && !isDigit(code)) this.fail();
    const value = this.number();
    if (typeof value !== 'number') this.fail();
    return { type: 'date', value };
  }

  /** A Display String (4.2.10): UTF-8 behind lower-case percent escapes. */
  private displayString(): BareItem {
    const { text } = this;
    this.canonical = false;
    this.at += 1;
    this.expect(QUOTE);
    const start = this.at;
    for (let code = this.peek(); code !== QUOTE; code = this.peek()) {
      if (!(code >= SPACE && code < 0x7f)) this.fail();
      if (code === PERCENT) {
        if (!isLowerHex(text.charCodeAt(this.at + 1)) || !isLowerHex(text.charCodeAt(this.at + 2)))
          this.fail();
        this.at += 2;
      }
      this.at += 1;
    }
    const encoded = text.slice(start, this.at);
    this.at += 1;
    return { type: 'display', value: this.decodeUtf8(encoded) };
  }

  private decodeUtf8(encoded: string): string {
    try {
      // Throws on anything that is not well-formed UTF-8, overlong forms and surrogates included.
      return decodeURIComponent(encoded);
    } catch {
      return this.fail();
    }
  }
}
