import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type ProviderKeys,
  ProviderUnavailable,
  providerKeys,
} from '../../../src/operator/access/provider-keys.ts';
import { type Issuer, newKey, startIssuer } from './issuer.ts';

const MINUTE = 60_000;
const DOWN = () => ({ status: 503, body: '' });
let issuer: Issuer;
let keys: ProviderKeys;
let nowMs: number;
let faults: string[];

beforeEach(async () => {
  issuer = await startIssuer([await newKey('a', 'ES256')]);
  nowMs = 1_000_000;
  faults = [];
  keys = providerKeys(
    issuer.url,
    () => nowMs,
    ({ message }) => void faults.push(message),
  );
});
afterEach(() => issuer[Symbol.asyncDispose]());

const find = (kid: string) => keys.find({ alg: 'ES256', kid }, { payload: '', signature: '' });
const reads = () => issuer.asked.filter((path) => path === '/keys').length;

test('they are read once for many who ask at once, and kept while fresh', async () => {
  await Promise.all(Array.from({ length: 50 }, () => find('a')));
  nowMs += 9 * MINUTE;
  await find('a');
  expect(reads()).toBe(1);
  nowMs += 2 * MINUTE;
  await find('a');
  expect(reads()).toBe(2);
});

test('a key that the provider has added is found, and unknown ones cost a reading every half minute at most', async () => {
  await find('a');
  issuer.keys.push((await newKey('b', 'ES256')).publicJwk);
  await expect(find('b')).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' });
  nowMs += 31_000;
  await find('b');
  expect(reads()).toBe(2);
  for (let i = 0; i < 20; i++)
    await expect(find(`x${i}`)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' });
  expect(reads()).toBe(2);
});

test('they serve for an hour without the provider, and no longer', async () => {
  await find('a');
  issuer.answer = DOWN;
  nowMs += 59 * MINUTE;
  await find('a');
  nowMs += 2 * MINUTE;
  await expect(find('a')).rejects.toBeInstanceOf(ProviderUnavailable);
  expect(faults).toContain('the provider answered 503');
  issuer.answer = null;
  nowMs += MINUTE;
  await find('a');
});

test('a withdrawn key is believed until the keys are read again', async () => {
  await find('a');
  issuer.keys = [(await newKey('b', 'ES256')).publicJwk];
  nowMs += 11 * MINUTE;
  await expect(find('a')).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' });
});
