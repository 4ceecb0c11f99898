import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FetchError } from '../../../src/trust/fetch/errors.ts';
import { JSON_VALUES_MAX, parseJsonObject } from '../../../src/trust/fetch/json.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

test.each([
  ['a byte order mark', '\uFEFF{}'],
  ['a member that stands twice', '{"id":"a","id":"b"}'],
  ['a member that stands twice, deep inside', '{"a":[{"b":{"id":1,"x":2,"id":1}}]}'],
  ['a member that stands twice, once escaped', '{"id":"a","\\u0069d":"b"}'],
  ['a prototype that stands twice', '{"__proto__":1,"__proto__":2}'],
  ['an array', '[]'],
  ['a string', '"x"'],
  ['null', 'null'],
  ['nothing', ''],
  ['two values', '{}{}'],
  ['a comment', '{/**/}'],
  ['NaN', '{"a":NaN}'],
  ['deep nesting', `{"a":${'['.repeat(40)}${']'.repeat(40)}}`],
  ['nesting as deep as a body is long', `{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`],
  ['more elements than any document has', `{"a":[${'0,'.repeat(JSON_VALUES_MAX)}0]}`],
  [
    'more members than any document has',
    `{${Array.from({ length: JSON_VALUES_MAX + 1 }, (_, at) => `"${at}":0`).join()}}`,
  ],
])('%s is refused', (_name, text) => {
  expect(() => parseJsonObject(bytes(text))).toThrow(FetchError);
});

test('bytes that are not UTF-8 are refused', () => {
  expect(() => parseJsonObject(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))).toThrow(FetchError);
});

test('every object without doubles is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (object) => {
      const text = JSON.stringify(object);
      expect(parseJsonObject(bytes(text))).toEqual(JSON.parse(text));
    }),
  );
});

test('brackets, colons and quotes inside strings count for nothing', () => {
  const text = '{"a:{[\\"":"::\\\\","b":"\\\\\\":{"}';
  expect(parseJsonObject(bytes(text))).toEqual(JSON.parse(text));
});
