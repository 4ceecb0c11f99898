import { describe, expect, test } from 'vitest';
import { FIELD_LINES_MAX, requestView } from '../../../src/trust/wire/message.ts';
import { checkMessageShape } from '../../../src/trust/wire/shape.ts';
import { codeOf, GET } from './support/messages.ts';

const check = (change: Partial<typeof GET>): void => checkMessageShape(requestView({ ...GET, ...change }));
const HOST = ['Host', 'gateway.example'];
const H2 = [':method', 'GET', ':scheme', 'http', ':authority', 'gateway.example', ':path', '/'];

describe('a request two readers could understand in two ways is refused', () => {
  test.each<[string, Partial<typeof GET>]>([
    ['HTTP/1.1', {}],
    ['HTTP/2 with :authority', { rawHeaders: H2 }],
    ['HTTP/2 with a Host that agrees', { rawHeaders: [...H2, 'host', 'GATEWAY.example:443'] }],
    ['the absolute form that agrees', { target: 'https://Gateway.Example/x?y' }],
    ['asterisk form', { method: 'OPTIONS', target: '*' }],
    [
      'fields that may repeat',
      { rawHeaders: [...HOST, 'Accept', 'a', 'Accept', 'b', 'Cookie', 'a', 'Cookie', 'b'] },
    ],
    ['an unusual method', { method: 'M-SEARCH' }],
  ])('fine: %s', (_name, change) => {
    expect(() => check(change)).not.toThrow();
  });

  test.each<[string, Partial<typeof GET>, string]>([
    ['two Hosts', { rawHeaders: [...HOST, 'host', 'gateway.example'] }, 'host_repeated'],
    ['two :authority', { rawHeaders: [...H2, ':authority', 'gateway.example'] }, 'host_repeated'],
    ['no Host', { rawHeaders: ['Accept', '*/*'] }, 'host_missing'],
    ['an empty Host', { rawHeaders: ['Host', ''] }, 'host_missing'],
    ['Host unlike :authority', { rawHeaders: [...H2, 'host', 'evil.example'] }, 'host_mismatch'],
    ['an absolute form unlike Host', { target: 'https://evil.example/x' }, 'host_mismatch'],
    ['an absolute form with user information', { target: 'https://gateway.example@evil/x' }, 'host_mismatch'],
    ['an absolute form of another scheme', { target: 'http://gateway.example/x' }, 'target_invalid'],
    ['a fragment', { target: '/x#f' }, 'target_invalid'],
    ['an empty target', { target: '' }, 'target_invalid'],
    ['a space in the target', { target: '/a b' }, 'target_invalid'],
    ['a byte beyond ASCII in the target', { target: '/caf\u00e9' }, 'target_invalid'],
    ['a line break in the target', { target: '/a\nb' }, 'target_invalid'],
    ['a lower-case method', { method: 'get' }, 'method_invalid'],
    ['a method that is no token', { method: 'GE T' }, 'method_invalid'],
    ['an empty method', { method: '' }, 'method_invalid'],
    [
      'two Content-Types',
      { rawHeaders: [...HOST, 'Content-Type', 'a/b', 'content-type', 'c/d'] },
      'field_repeated',
    ],
    [
      'two Authorizations',
      { rawHeaders: [...HOST, 'Authorization', 'a', 'Authorization', 'a'] },
      'field_repeated',
    ],
    [
      'two Content-Lengths',
      { rawHeaders: [...HOST, 'Content-Length', '1', 'Content-Length', '1'] },
      'field_repeated',
    ],
    ['two Origins', { rawHeaders: [...HOST, 'Origin', 'a', 'origin', 'b'] }, 'field_repeated'],
  ])('refused: %s', (_name, change, code) => {
    expect(codeOf(() => check(change))).toBe(code);
  });

  test('more field lines than are looked at', () => {
    const rawHeaders = Array.from({ length: 2 * FIELD_LINES_MAX + 2 }, () => 'x');
    expect(codeOf(() => check({ rawHeaders }))).toBe('too_many_fields');
  });
});
