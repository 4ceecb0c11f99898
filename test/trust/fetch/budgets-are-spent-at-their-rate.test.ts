import { expect, test } from 'vitest';
import { createBudget } from '../../../src/trust/fetch/budget.ts';

test('a burst, then the rate, then a burst again after a time without any', () => {
  let nowMs = 5_000;
  const take = createBudget({ perSecond: 10, burst: 3 }, () => nowMs);
  const taken = (times: number): number => Array.from({ length: times }, take).filter(Boolean).length;
  expect(taken(10)).toBe(3);
  nowMs += 99;
  expect(taken(10)).toBe(0);
  nowMs += 1;
  expect(taken(10)).toBe(1);
  nowMs += 1_000;
  expect(taken(10)).toBe(3);
});
