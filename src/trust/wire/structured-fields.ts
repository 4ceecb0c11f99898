/**
 * Structured Field Values (RFC 9651): the data model and the three parsers. Serialising is in `serialise.ts`.
 *
 * Stricter than the RFC in one place, where it leaves the choice to us (section 4.2.7): a Byte Sequence without
 * its padding, or with pad bits that are not zero, is refused. Two spellings of one signature are one too many.
 */
import type { Bytes } from './bytes.ts';
import { Scanner } from './scanner.ts';

/** What JavaScript has no type for; an Integer is a `number`, a Byte Sequence a `Uint8Array`. */
interface Tagged {
  readonly type: 'decimal' | 'token' | 'date' | 'display';
  readonly value: number | string;
}
interface Decimal extends Tagged {
  readonly type: 'decimal';
  readonly value: number;
}
interface Token extends Tagged {
  readonly type: 'token';
  readonly value: string;
}
/** Seconds since the epoch; its range is wider than that of a JavaScript Date. */
interface SfDate extends Tagged {
  readonly type: 'date';
  readonly value: number;
}
interface DisplayString extends Tagged {
  readonly type: 'display';
  readonly value: string;
}

export type BareItem = number | string | boolean | Bytes | Decimal | Token | SfDate | DisplayString;
export type Parameters = ReadonlyMap<string, BareItem>;
export interface Item {
  readonly value: BareItem;
  readonly params: Parameters;
}
export interface InnerList {
  readonly items: readonly Item[];
  readonly params: Parameters;
}
export type Member = Item | InnerList;
export type List = readonly Member[];
export type Dictionary = ReadonlyMap<string, Member>;

export function isInnerList(member: Member): member is InnerList {
  return 'items' in member;
}

/**
 * Parses an Item (section 4.2.3). Several field lines are joined with `, ` by the caller, as for any field.
 * @throws {WireError} structured_field_invalid
 */
export function parseItem(text: string): Item {
  const scanner = new Scanner(text);
  scanner.skipSpaces();
  const item = scanner.item();
  scanner.skipSpaces();
  scanner.expectEnd();
  return item;
}

/** Parses a List (section 4.2.1). @throws {WireError} structured_field_invalid */
export function parseList(text: string): List {
  const scanner = new Scanner(text);
  const members: Member[] = [];
  scanner.skipSpaces();
  while (!scanner.atEnd()) {
    members.push(scanner.member());
    if (!scanner.nextMember()) break;
  }
  scanner.expectEnd();
  return members;
}

/**
 * Parses a Dictionary (section 4.2.2): the last of two members with one key wins, in the place of the first.
 * @throws {WireError} structured_field_invalid
 */
export function parseDictionary(text: string): Dictionary {
  const members = new Map<string, Member>();
  visitDictionary(text, (key, member) => members.set(key, member));
  return members;
}

/**
 * The same, for those to whom a repeated key matters: `visit` sees every member in order.
 * @throws {WireError} structured_field_invalid
 */
export function visitDictionary(text: string, visit: (key: string, member: Member) => void): void {
  const scanner = new Scanner(text);
  scanner.skipSpaces();
  while (!scanner.atEnd()) {
    const key = scanner.key();
    visit(key, scanner.dictionaryValue());
    if (!scanner.nextMember()) break;
  }
  scanner.expectEnd();
}
