import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backlogUs, intervalUs, judge, type LimitRule, localShare, nextTatUs } from '../../src/store/gcra.ts';

/** The textbook's other form of GCRA, a leaky bucket in exact integers: content drains, a call pours its price in. */
function leakyBucket(rule: LimitRule) {
  const price = BigInt(intervalUs(rule));
  const capacity = price * BigInt(rule.burst);
  let content = 0n;
  let last = 0n;
  return (nowUs: number, cost: number): boolean => {
    const now = BigInt(nowUs);
    const drained = now - last;
    content = content > drained ? content - drained : 0n;
    last = now;
    if (content + price * BigInt(cost) > capacity) return false;
    content += price * BigInt(cost);
    return true;
  };
}

const rules = fc.record({
  ratePerPeriod: fc.integer({ min: 1, max: 1_000_000 }),
  periodMs: fc.constantFrom(1_000, 60_000, 3_600_000),
  burst: fc.integer({ min: 1, max: 500 }),
});
const calls = fc.array(
  fc.record({ gapUs: fc.nat({ max: 5_000_000 }), cost: fc.integer({ min: 1, max: 5 }) }),
  {
    minLength: 1,
    maxLength: 200,
  },
);
const START_US = 1_800_000_000_000_000;

test('every verdict is that of a leaky bucket in exact integers', () => {
  fc.assert(
    fc.property(rules, calls, (rule, sequence) => {
      const reference = leakyBucket(rule);
      const price = intervalUs(rule);
      const capacity = price * rule.burst;
      let now = START_US;
      let tat = 0;
      for (const { gapUs, cost } of sequence) {
        now += gapUs;
        const outcome = judge(rule, backlogUs(tat, now, capacity), cost, false);
        tat = nextTatUs(tat, now, cost * price, capacity);
        expect(outcome.allowed).toBe(reference(now, cost));
      }
    }),
    { numRuns: 300 },
  );
});

test('what remains is what would really be allowed, and retryAfter is the first moment that is', () => {
  fc.assert(
    fc.property(rules, calls, (rule, sequence) => {
      const price = intervalUs(rule);
      const capacity = price * rule.burst;
      let now = START_US;
      let tat = 0;
      for (const { gapUs, cost } of sequence) {
        now += gapUs;
        const outcome = judge(rule, backlogUs(tat, now, capacity), cost, false);
        tat = nextTatUs(tat, now, cost * price, capacity);
        const after = backlogUs(tat, now, capacity);
        expect(after + outcome.remaining * price <= capacity).toBe(true);
        expect(after + (outcome.remaining + 1) * price > capacity).toBe(true);
        expect(outcome.resetMs).toBe(after / 1000);
        if (outcome.allowed || cost > rule.burst) continue;
        const retryUs = Math.round(outcome.retryAfterMs * 1000);
        expect(judge(rule, backlogUs(tat, now + retryUs, capacity), cost, false).allowed).toBe(true);
        expect(judge(rule, backlogUs(tat, now + retryUs - 1, capacity), cost, false).allowed).toBe(false);
      }
    }),
    { numRuns: 300 },
  );
});

test('in any span no more than burst + span x rate is allowed', () => {
  fc.assert(
    fc.property(rules, calls, (rule, sequence) => {
      const price = intervalUs(rule);
      const capacity = price * rule.burst;
      const allowedAt: number[] = [];
      let now = START_US;
      let tat = 0;
      for (const { gapUs } of sequence) {
        now += gapUs;
        if (judge(rule, backlogUs(tat, now, capacity), 1, false).allowed) allowedAt.push(now);
        tat = nextTatUs(tat, now, price, capacity);
      }
      for (let from = 0; from < allowedAt.length; from += 1) {
        for (let to = from; to < allowedAt.length; to += 7) {
          const span = (allowedAt[to] ?? 0) - (allowedAt[from] ?? 0);
          expect(to - from + 1).toBeLessThanOrEqual(rule.burst + span / price);
        }
      }
    }),
    { numRuns: 100 },
  );
});

test('the shares of all nodes together are no more than the whole, but for one call a node', () => {
  fc.assert(
    fc.property(rules, fc.integer({ min: 1, max: 50 }), (rule, nodes) => {
      const share = localShare(rule, nodes);
      expect(share.burst * nodes).toBeLessThanOrEqual(Math.max(rule.burst, nodes));
      expect(intervalUs(share)).toBeGreaterThanOrEqual(
        Math.floor((rule.periodMs * 1000) / rule.ratePerPeriod) * nodes,
      );
    }),
  );
});

test('a clock set back, or a smaller rule, never locks a caller out for longer than a full bucket takes', () => {
  const rule = { ratePerPeriod: 60, periodMs: 60_000, burst: 10 };
  const capacity = intervalUs(rule) * rule.burst;
  const farAhead = START_US + 86_400_000_000;
  const outcome = judge(rule, backlogUs(farAhead, START_US, capacity), 1, false);
  expect(outcome).toMatchObject({ allowed: false, retryAfterMs: 1_000 });
  expect(nextTatUs(farAhead, START_US, intervalUs(rule), capacity)).toBe(START_US + capacity);
});

test('a call dearer than the burst is never allowed and says so', () => {
  const outcome = judge({ ratePerPeriod: 60, periodMs: 60_000, burst: 2 }, 0, 3, false);
  expect(outcome).toMatchObject({ allowed: false, retryAfterMs: Number.POSITIVE_INFINITY });
});
