import { describe, expect, test } from 'vitest';
import { QueryParameters } from '../../../src/trust/wire/query.ts';

import { codeOf } from './support/messages.ts';

const queryParameter = (query: string, name: string): string | null => new QueryParameters(query).value(name);

describe('a covered query parameter has one value, written in one way', () => {
  // The examples of RFC 9421, section 2.2.8.
  test.each([
    ['param=value&foo=bar&baz=batman&qux=', 'baz', 'batman'],
    ['param=value&foo=bar&baz=batman&qux=', 'qux', ''],
    ['param=value&foo=bar&baz=batman&qux=', 'param', 'value'],
    [
      'var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace',
      'var',
      'this%20is%20a%20big%0Amultiline%20value',
    ],
    ['var=x&bar=with+plus+whitespace', 'bar', 'with%20plus%20whitespace'],
    ['fa%C3%A7ade%22%3A%20=something', 'fa%C3%A7ade%22%3A%20', 'something'],
    ['a=%61', 'a', 'a'],
    ["a=!'()*~-._", 'a', '%21%27%28%29*%7E-._'],
    ['%61=1', 'a', '1'],
    ['a', 'a', ''],
    ['&&a=1&', 'a', '1'],
    ['a=1=2', 'a', '1%3D2'],
    ['a=%2b+%2B', 'a', '%2B%20%2B'],
  ])('?%s: %s is %s', (query, name, value) => {
    expect(queryParameter(query, name)).toBe(value);
  });

  test.each(['', 'b=1', 'A=1'])('absent from ?%s', (query) => {
    expect(queryParameter(query, 'a')).toBeNull();
  });

  test('a name that is not in its encoded form names nothing', () => {
    expect(queryParameter('a+b=1', 'a b')).toBeNull();
    expect(queryParameter('a+b=1', 'a%20b')).toBe('1');
  });

  test.each(['a=1&a=1', 'a=1&a=2', 'a=1&%61=2', 'a&a'])('repeated: ?%s', (query) => {
    expect(codeOf(() => queryParameter(query, 'a'))).toBe('query_parameter_repeated');
  });

  test.each(['a=%FF', 'a=%fe', 'a=%zz', 'a=%', '%C0%AE=1&a=1', 'a=%ED%A0%80', 'a=\u00e9', 'a= b', 'a=\t'])(
    'not decodable without a guess: ?%s',
    (query) => {
      expect(codeOf(() => queryParameter(query, 'a'))).toBe('query_invalid');
    },
  );

  test('more parameters than anybody signs', () => {
    expect(codeOf(() => queryParameter('b=1&'.repeat(300), 'a'))).toBe('query_invalid');
  });

  test('longer than anybody signs a parameter of', () => {
    expect(queryParameter(`b=${'%20'.repeat(1_300)}&a=1`, 'a')).toBe('1');
    expect(codeOf(() => queryParameter(`b=${'%20'.repeat(1_400)}&a=1`, 'a'))).toBe('query_invalid');
  });
});
