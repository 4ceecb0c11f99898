import { describe, expect, test } from 'vitest';
import type { SignatureParams } from '../../../src/trust/wire/signature-input.ts';
import { acceptableUntil, checkTime } from '../../../src/trust/wire/verify.ts';
import { codeOf, NOW } from './support/messages.ts';

const params = (given: Partial<SignatureParams>): SignatureParams => ({
  created: NOW,
  expires: undefined,
  nonce: 'n',
  keyid: 'k',
  alg: undefined,
  tag: undefined,
  ...given,
});

describe('a signature counts from five seconds before it was made until a minute and five seconds after', () => {
  test.each([
    ['now', NOW, {}],
    ['made by a clock five seconds ahead', NOW - 5, {}],
    ['a minute and five seconds old', NOW + 65, {}],
    ['at its own end', NOW + 10, { expires: NOW + 10 }],
  ])('accepted: %s', (_name, now, given) => {
    expect(() => checkTime(params(given), now)).not.toThrow();
  });

  test.each([
    ['from the future', NOW - 5.001, {}, 'created_in_future'],
    ['too old', NOW + 65.001, {}, 'signature_too_old'],
    ['past its own end', NOW + 10.001, { expires: NOW + 10 }, 'signature_expired'],
    ['ended before it was made', NOW, { expires: NOW - 1 }, 'signature_expired'],
    ['never created', NOW, { created: undefined }, 'parameter_missing'],
    ['a clock that is not a number', Number.NaN, {}, 'created_in_future'],
    ['from the first second of 1970', NOW, { created: 0 }, 'signature_too_old'],
    ['from before 1970', NOW, { created: -999_999_999_999_999 }, 'signature_too_old'],
    ['from the end of time', NOW, { created: 999_999_999_999_999 }, 'created_in_future'],
  ])('refused: %s', (_name, now, given, code) => {
    expect(codeOf(() => checkTime(params(given), now))).toBe(code);
  });

  test('a distant end does not make a signature last longer', () => {
    expect(codeOf(() => checkTime(params({ expires: NOW + 1e6 }), NOW + 66))).toBe('signature_too_old');
  });

  test.each([
    ['by age', {}],
    ['by its own end', { expires: NOW + 10 }],
  ])('a nonce is remembered beyond the last moment of acceptance: %s', (_name, given) => {
    const until = acceptableUntil(params(given));
    expect(() => checkTime(params(given), until)).toThrow();
    expect(() => checkTime(params(given), until - 1)).not.toThrow();
  });
});
