/** Browsers have no `Buffer`: what they read and write must be what Node does. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeBase64,
  decodeBase64Url,
  encodeBase64,
  encodeBase64Url,
  latin1Bytes,
  latin1Text,
  webSpelling,
} from '../../../src/trust/wire/bytes.ts';

const octets = fc.uint8Array({ maxLength: 600 }).map((bytes) => new Uint8Array(bytes));

describe('the spelling for engines without Buffer', () => {
  test('writes and reads what Buffer does', () => {
    fc.assert(
      fc.property(octets, (bytes) => {
        const text = encodeBase64(bytes);
        expect(webSpelling.encodeBase64(bytes)).toBe(text);
        expect([...(decodeBase64(text) ?? [])]).toEqual([...bytes]);
        expect(webSpelling.latin1Text(bytes)).toBe(latin1Text(bytes));
        expect([...webSpelling.latin1Bytes(latin1Text(bytes))]).toEqual([...latin1Bytes(latin1Text(bytes))]);
        expect([...(decodeBase64Url(encodeBase64Url(bytes)) ?? [])]).toEqual([...bytes]);
        expect(encodeBase64Url(bytes)).toBe(Buffer.from(bytes).toString('base64url'));
      }),
    );
  });

  test('is not bounded by how many arguments a call takes', () => {
    const bytes = new Uint8Array(1_000_000).fill(0xfe);
    expect(webSpelling.latin1Text(bytes)).toBe('\u00fe'.repeat(1_000_000));
  });
});

describe('base64', () => {
  test('is read as Buffer reads it, where it is the one spelling of its bytes, and else not at all', () => {
    const alphabet = fc.constantFrom(...'AQgwZz09+/-_= \n\t*é€'.split(''));
    fc.assert(
      fc.property(fc.array(alphabet, { maxLength: 12 }), (letters) => {
        const text = letters.join('');
        const theirs = Buffer.from(text, 'base64');
        const ours = decodeBase64(text);
        expect(ours === null).toBe(theirs.toString('base64') !== text);
        if (ours !== null) expect([...ours]).toEqual([...theirs]);
      }),
      { numRuns: 5_000 },
    );
  });

  test.each([
    '=',
    '==',
    '====',
    'A===',
    'AA=A',
    '=AAA',
    'QR==',
    'QUK=',
    'QQ',
    'QQ=',
    'QQ==\n',
    'ı===',
    'QUJDRA',
  ])('has no spelling %j', (text) => {
    expect(decodeBase64(text)).toBe(null);
  });

  test.each(['QQ', 'QQ==', 'QR', 'Q', 'QQ=', 'Q+', 'Q/', 'QUJD', 'QUJD='])('base64url: %s', (text) => {
    const node = Buffer.from(text, 'base64url');
    const strict = node.toString('base64url') === text;
    expect(decodeBase64Url(text)?.length).toBe(strict ? node.length : undefined);
  });
});
