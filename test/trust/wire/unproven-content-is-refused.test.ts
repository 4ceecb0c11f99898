import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { checkContentDigest, contentDigest, digestCheck } from '../../../src/trust/wire/content-digest.ts';
import { codeOf } from './support/messages.ts';

const BODY = Buffer.from('{"hello": "world"}');
const digest = (algorithm: string, body = BODY): string =>
  createHash(algorithm).update(body).digest('base64');
const SHA256 = `sha-256=:${digest('sha256')}:`;
const SHA512 = `sha-512=:${digest('sha512')}:`;
const WRONG = `sha-512=:${digest('sha512', Buffer.from('x'))}:`;

/** The two ways to ask must agree. */
function outcome(field: string, body = BODY): string {
  let whole = 'match';
  try {
    checkContentDigest(field, body);
  } catch (error) {
    whole = (error as { code: string }).code;
  }
  let streamed: string;
  try {
    const check = digestCheck(field);
    check.update(body.subarray(0, 5));
    check.update(body.subarray(5));
    streamed = check.matches() ? 'match' : 'digest_mismatch';
  } catch (error) {
    streamed = (error as { code: string }).code;
  }
  expect(streamed).toBe(whole);
  return whole;
}

describe('content is what its digest says, or it is refused', () => {
  test.each([
    ['sha-256', SHA256],
    ['sha-512', SHA512],
    ['both', `${SHA256}, ${SHA512}`],
    ['one beside an unknown one', `md5=:AAAA:, ${SHA256}, unixsum=7`],
    ['with parameters', `${SHA256};x=1`],
    ['the same twice', `${SHA256}, ${SHA256}`],
  ])('matches: %s', (_name, field) => {
    expect(outcome(field)).toBe('match');
  });

  test.each([
    ['another body', WRONG, 'digest_mismatch'],
    ['one of two', `${SHA256}, ${WRONG}`, 'digest_mismatch'],
    ['a good one repeated behind a bad one', `${WRONG}, ${SHA512}`, 'digest_mismatch'],
    ['a bad one repeated behind a good one', `${SHA512}, ${WRONG}`, 'digest_mismatch'],
    ['too short', `sha-256=:${digest('sha256').slice(0, 40)}:`, 'digest_mismatch'],
    ['empty', 'sha-256=::', 'digest_mismatch'],
    ['none that we know', 'md5=:AAAA:, sha=:AAAA:', 'digest_unsupported'],
    ['no entry', '', 'digest_unsupported'],
    ['a string', `sha-256="${digest('sha256')}"`, 'digest_malformed'],
    ['a list', `sha-256=(:${digest('sha256')}:)`, 'digest_malformed'],
    ['a bare key', 'sha-256', 'digest_malformed'],
    ['without padding', `${SHA256.slice(0, -2)}:`, 'digest_malformed'],
    ['base64url', 'sha-256=:-_==:', 'digest_malformed'],
    ['pad bits that are not zero', 'sha-256=:AB==:', 'digest_malformed'],
    ['upper case', SHA256.replace('sha', 'SHA'), 'digest_malformed'],
    ['junk behind it', `${SHA256} x`, 'digest_malformed'],
    ['longer than any digest', `${SHA256}${';a=1'.repeat(300)}`, 'digest_malformed'],
  ])('refused: %s', (_name, field, code) => {
    expect(outcome(field)).toBe(code);
  });

  test('what is written is what is checked', () => {
    expect(contentDigest(BODY)).toBe(SHA256);
    expect(contentDigest(BODY, 'sha-512')).toBe(SHA512);
    expect(outcome(contentDigest(Buffer.alloc(0)), Buffer.alloc(0))).toBe('match');
    expect(codeOf(() => checkContentDigest(SHA256, Buffer.alloc(0)))).toBe('digest_mismatch');
  });
});

test('however often an algorithm is repeated, the content is hashed by it once', () => {
  const body = Buffer.alloc(1_048_576, 1);
  const once = contentDigest(body);
  const often = Array.from({ length: 16 }, () => once).join(', ');
  const fastest = (value: string): number =>
    Math.min(
      ...Array.from({ length: 5 }, () => {
        const startedAt = performance.now();
        checkContentDigest(value, body);
        return performance.now() - startedAt;
      }),
    );
  expect(fastest(often)).toBeLessThan(4 * fastest(once));
});
