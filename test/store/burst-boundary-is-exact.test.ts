import { expect, test } from 'vitest';
import type { LimitOutcome } from '../../src/store/gcra.ts';
import { createLimits } from '../../src/store/limits.ts';
import { smallTable } from './support.ts';

const NOW = 1_800_000_000_000;
const rule = { ratePerPeriod: 100, periodMs: 60_000, burst: 20 };

function take(limits: ReturnType<typeof createLimits>, nowMs: number): LimitOutcome {
  const outcome = limits.take('did:did:web:a.example', rule, nowMs);
  if (outcome instanceof Promise) throw new Error('a node alone decides at once');
  return outcome;
}

test('twenty at once, the twenty-first refused, the next after 600 ms and not a millisecond earlier', () => {
  const limits = createLimits(smallTable(), null);
  for (let call = 1; call <= 20; call += 1) {
    expect(take(limits, NOW)).toMatchObject({ allowed: true, remaining: 20 - call, resetMs: call * 600 });
  }
  expect(take(limits, NOW)).toMatchObject({
    allowed: false,
    remaining: 0,
    retryAfterMs: 600,
    resetMs: 12_000,
  });
  expect(take(limits, NOW + 599)).toMatchObject({ allowed: false, retryAfterMs: 1 });
  expect(take(limits, NOW + 600)).toMatchObject({ allowed: true, remaining: 0 });
  expect(take(limits, NOW + 601)).toMatchObject({ allowed: false, retryAfterMs: 599 });
});

test('there is no second burst at the edge of a minute', () => {
  const limits = createLimits(smallTable(), null);
  const edge = Math.ceil(NOW / 60_000) * 60_000;
  let allowed = 0;
  for (let call = 0; call < 50; call += 1) if (take(limits, edge - 1).allowed) allowed += 1;
  for (let call = 0; call < 50; call += 1) if (take(limits, edge + 1).allowed) allowed += 1;
  expect(allowed).toBe(20);
});

test('a bucket left alone is full again, and buckets do not touch each other', () => {
  const limits = createLimits(smallTable(), null);
  for (let call = 0; call < 20; call += 1) take(limits, NOW);
  expect(limits.take('did:did:web:b.example', rule, NOW)).toMatchObject({ allowed: true, remaining: 19 });
  expect(take(limits, NOW + 12_000)).toMatchObject({ allowed: true, remaining: 19 });
});
