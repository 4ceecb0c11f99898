import { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../../src/trust/wire/errors.ts';
import { serialiseDictionary, serialiseItem, serialiseList } from '../../../src/trust/wire/serialise.ts';
import type { BareItem, Dictionary, Item, List, Member } from '../../../src/trust/wire/structured-fields.ts';
import {
  isInnerList,
  parseDictionary,
  parseItem,
  parseList,
} from '../../../src/trust/wire/structured-fields.ts';
import { vectorsPath } from './support/vectors.ts';

/** The format is described in the README beside the vectors. */
interface Vector {
  name: string;
  raw?: string[];
  header_type: 'item' | 'list' | 'dictionary';
  expected?: unknown;
  must_fail?: boolean;
  can_fail?: boolean;
  canonical?: string[];
}
type Json = string | number | boolean | { __type: string; value: string | number };

const PARSE_VECTORS = 1591;
const SERIALISE_VECTORS = 544;

const folder = vectorsPath('structured-fields');
const load = (path: string): Vector[] =>
  readdirSync(path)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => JSON.parse(readFileSync(join(path, name), 'utf8')) as Vector[]);

const parse = (type: Vector['header_type'], text: string): Item | List | Dictionary =>
  type === 'item' ? parseItem(text) : type === 'list' ? parseList(text) : parseDictionary(text);

const serialise = (type: Vector['header_type'], value: Item | List | Dictionary): string =>
  type === 'item'
    ? serialiseItem(value as Item)
    : type === 'list'
      ? serialiseList(value as List)
      : serialiseDictionary(value as Dictionary);

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
function base32(bytes: Buffer): string {
  let bits = '';
  for (const byte of bytes) bits += byte.toString(2).padStart(8, '0');
  let text = '';
  for (let at = 0; at < bits.length; at += 5)
    text += BASE32[Number.parseInt(bits.slice(at, at + 5).padEnd(5, '0'), 2)];
  return text.padEnd(Math.ceil(text.length / 8) * 8, '=');
}
function fromBase32(text: string): Buffer {
  let bits = '';
  for (const char of text.replace(/=+$/, '')) bits += BASE32.indexOf(char).toString(2).padStart(5, '0');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

/** Our model to theirs. */
const bareToJson = (value: BareItem): Json => {
  if (typeof value !== 'object') return value;
  if (value instanceof Uint8Array) return { __type: 'binary', value: base32(Buffer.from(value)) };
  if (value.type === 'decimal') return value.value;
  return { __type: value.type === 'display' ? 'displaystring' : value.type, value: value.value };
};
const itemToJson = (item: Item): unknown => [
  bareToJson(item.value),
  [...item.params].map(([k, v]) => [k, bareToJson(v)]),
];
const memberToJson = (member: Member): unknown =>
  isInnerList(member)
    ? [member.items.map(itemToJson), [...member.params].map(([k, v]) => [k, bareToJson(v)])]
    : itemToJson(member);
const toJson = (type: Vector['header_type'], value: Item | List | Dictionary): unknown => {
  if (type === 'item') return itemToJson(value as Item);
  if (type === 'list') return (value as List).map(memberToJson);
  return [...(value as Dictionary)].map(([key, member]) => [key, memberToJson(member)]);
};

/** Their model to ours. JSON does not tell 1 from 1.0, so a whole number becomes an Integer. */
const bareFromJson = (value: Json): BareItem => {
  if (typeof value === 'number') return Number.isInteger(value) ? value : { type: 'decimal', value };
  if (typeof value !== 'object') return value;
  if (value.__type === 'binary') return new Uint8Array(fromBase32(String(value.value)));
  if (value.__type === 'date') return { type: 'date', value: Number(value.value) };
  return { type: value.__type === 'token' ? 'token' : 'display', value: String(value.value) };
};
type JsonItem = [Json, [string, Json][]];
const itemFromJson = ([value, params]: JsonItem): Item => ({
  value: bareFromJson(value),
  params: new Map(params.map(([k, v]) => [k, bareFromJson(v)])),
});
const memberFromJson = (json: [unknown, [string, Json][]]): Member =>
  Array.isArray(json[0])
    ? {
        items: (json[0] as JsonItem[]).map(itemFromJson),
        params: new Map(json[1].map(([k, v]) => [k, bareFromJson(v)])),
      }
    : itemFromJson(json as JsonItem);
const fromJson = (type: Vector['header_type'], json: unknown): Item | List | Dictionary => {
  if (type === 'item') return itemFromJson(json as JsonItem);
  if (type === 'list') return (json as [unknown, [string, Json][]][]).map(memberFromJson);
  return new Map((json as [string, [unknown, [string, Json][]]][]).map(([k, m]) => [k, memberFromJson(m)]));
};

describe('the structured field vectors of the HTTP working group', () => {
  test('every parse vector gives its value and its canonical form, or is refused', (ctx) => {
    if (folder === null) return ctx.skip('the structured-field vectors are not on this machine');
    const vectors = load(folder);
    const refusedByChoice: string[] = [];
    for (const vector of vectors) {
      const text = (vector.raw ?? []).join(', ');
      if (vector.must_fail) {
        expect(() => parse(vector.header_type, text), vector.name).toThrow(WireError);
        continue;
      }
      let value: Item | List | Dictionary;
      try {
        value = parse(vector.header_type, text);
      } catch (error) {
        if (!vector.can_fail) throw new Error(`${vector.name}: ${String(error)}`);
        refusedByChoice.push(vector.name);
        continue;
      }
      expect(toJson(vector.header_type, value), vector.name).toEqual(vector.expected);
      const canonical = vector.canonical ?? vector.raw ?? [];
      expect(serialise(vector.header_type, value), vector.name).toBe(canonical.join(', '));
    }
    expect(refusedByChoice.sort()).toEqual(['bad padding', 'non-zero pad bits']);
    expect(vectors.length).toBe(PARSE_VECTORS);
    console.log(`structured fields: ${vectors.length} of ${vectors.length} parse vectors hold`);
  });

  test('every serialisation vector gives its canonical form, or is refused', (ctx) => {
    if (folder === null) return ctx.skip('the structured-field vectors are not on this machine');
    const vectors = load(join(folder, 'serialisation-tests'));
    for (const vector of vectors) {
      const write = (): string =>
        serialise(vector.header_type, fromJson(vector.header_type, vector.expected));
      if (vector.must_fail) expect(write, vector.name).toThrow(WireError);
      else expect(write(), vector.name).toBe((vector.canonical ?? []).join(', '));
    }
    expect(vectors.length).toBe(SERIALISE_VECTORS);
    console.log(`structured fields: ${vectors.length} of ${vectors.length} serialisation vectors hold`);
  });
});
