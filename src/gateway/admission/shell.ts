/**
 * A store for @fastify/rate-limit with GCRA inside, for the routes that are not the path of agents' calls.
 * What its contract calls `current` and `ttl` is made from the verdict: one above the most when refused, and the
 * time until the next call would be allowed.
 */
import type { FastifyRateLimitStore } from '@fastify/rate-limit';
import type { LimitOutcome, LimitRule } from '../../store/gcra.ts';
import type { LimitStore } from '../../store/limits.ts';

type Answer = (error: Error | null, result?: { current: number; ttl: number }) => void;

/** The class @fastify/rate-limit asks for: it makes one for itself, and a `child` for each route with its own rule. */
export function gcraStore(limits: LimitStore, now: () => number) {
  return class GcraStore implements FastifyRateLimitStore {
    incr(key: string, answer: Answer, periodMs: number, most: number): void {
      const rule: LimitRule = { ratePerPeriod: most, periodMs, burst: most, scope: 'local' };
      const outcome = limits.take(`route:${periodMs}:${most}:${key}`, rule, now());
      if (outcome instanceof Promise)
        void outcome.then((late) => answer(null, inItsTerms(late, most)), answer);
      else answer(null, inItsTerms(outcome, most));
    }

    /** Buckets are named by their rule, so one store serves all routes. */
    child(): FastifyRateLimitStore {
      return this;
    }
  };
}

function inItsTerms(outcome: LimitOutcome, most: number): { current: number; ttl: number } {
  return outcome.allowed
    ? { current: Math.min(most, most - outcome.remaining), ttl: outcome.resetMs }
    : { current: most + 1, ttl: outcome.retryAfterMs };
}
