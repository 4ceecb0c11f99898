import { describe, expect, test } from 'vitest';
import type { RequestRecord } from '../../src/gateway/record.ts';
import { createDecisionSample } from '../../src/operator/telemetry/decision-sample.ts';
import { record } from './support.ts';

const SLICE_MS = 250;

function sampleOf(perSecond: number) {
  let state = 12_345;
  const random = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
  return createDecisionSample({ perSecond, random, now: 0 });
}

const refused = (address: string, code = 'signature_invalid'): RequestRecord =>
  record({ address, code, status: 401, effect: 'none' });
const served = (address: string): RequestRecord => record({ address });
const count = (records: readonly RequestRecord[], fits: (one: RequestRecord) => boolean): number =>
  records.filter(fits).length;

describe('above the budget', () => {
  test('no second brings more than the budget, once what a quiet one left is spent', () => {
    const sample = sampleOf(100);
    let taken = 0;
    for (let slice = 1; slice <= 40; slice++) {
      for (let i = 0; i < 500; i++) sample.offer(i % 2 === 0 ? refused('192.0.2.1') : served('192.0.2.1'));
      taken += sample.take(slice * SLICE_MS).length;
    }
    expect(taken).toBeGreaterThan(950);
    expect(taken).toBeLessThanOrEqual(100 * (10 + 1));
    expect(sample.leftOut.refused + sample.leftOut.allowed + taken).toBe(40 * 500);
  });

  test('refusals come first, and served requests take what they leave', () => {
    const sample = sampleOf(100);
    for (let i = 0; i < 1_000; i++) sample.offer(served('192.0.2.1'));
    for (let i = 0; i < 90; i++) sample.offer(refused(`198.51.100.${i}`));
    const taken = sample.take(SLICE_MS);
    expect(count(taken, ({ code }) => code !== '')).toBe(90);
    expect(count(taken, ({ code }) => code === '')).toBe(10);
  });

  test('a flood of refusals from one address leaves the others theirs', () => {
    const sample = sampleOf(100);
    for (let i = 0; i < 5_000; i++) sample.offer(refused('192.0.2.1'));
    for (let i = 0; i < 20; i++) sample.offer(refused(`198.51.100.${i}`));
    for (let i = 0; i < 5_000; i++) sample.offer(refused('192.0.2.1'));
    const taken = sample.take(SLICE_MS);
    expect(taken.length).toBe(100);
    // Two of them may share a cell with the flood by chance, not more.
    expect(count(taken, ({ address }) => address !== '192.0.2.1')).toBeGreaterThanOrEqual(18);
  });

  test('addresses of one IPv6 network count as one', () => {
    const sample = sampleOf(100);
    for (let i = 0; i < 5_000; i++) sample.offer(refused(`2001:db8:1:2:${i.toString(16)}::1`));
    for (let i = 0; i < 20; i++) sample.offer(refused(`198.51.100.${i}`));
    expect(count(sample.take(SLICE_MS), ({ address }) => !address.includes(':'))).toBeGreaterThanOrEqual(18);
  });

  test('behind one proxy, a flood of one code leaves the others theirs', () => {
    const sample = sampleOf(100);
    for (let i = 0; i < 5_000; i++) sample.offer(refused('192.0.2.1'));
    for (let i = 0; i < 5; i++) sample.offer(refused('192.0.2.1', 'nonce_replayed'));
    expect(count(sample.take(SLICE_MS), ({ code }) => code === 'nonce_replayed')).toBe(5);
  });
});

test('below the budget nothing is left out', () => {
  const sample = sampleOf(200);
  for (let i = 0; i < 60; i++) sample.offer(i % 3 === 0 ? refused('192.0.2.1') : served('192.0.2.1'));
  expect(sample.take(SLICE_MS).length).toBe(60);
  expect(sample.leftOut).toEqual({ refused: 0, allowed: 0 });
});

test('what was left out is not held', () => {
  const sample = sampleOf(1);
  sample.offer(refused('192.0.2.1'));
  sample.offer(refused('192.0.2.1'));
  expect(sample.take(SLICE_MS).length).toBe(1);
  expect(sample.take(2 * SLICE_MS).length).toBe(0);
});
