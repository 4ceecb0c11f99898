/**
 * The generic cell rate algorithm (ITU-T I.371), in virtual time. A bucket is one number, its theoretical
 * arrival time (TAT): the moment at which it would be full again. A call moves the TAT forward by its price;
 * it is allowed while the TAT stays within `capacity` of now. There is no window, so no double burst at a
 * window's edge, and a bucket whose TAT lies in the past is the same as no bucket at all: the TAT is also
 * the expiry of its slot.
 *
 * Everything is counted in whole microseconds, so that the arithmetic is exact (an epoch in microseconds is
 * 1.8e15, far below 2^53) and the Lua script on Redis computes the very same numbers.
 */

export interface LimitRule {
  /** Calls per period in the long run; above 0, a fraction is allowed (a local share of a global limit). */
  readonly ratePerPeriod: number;
  readonly periodMs: number;
  /** Calls that may come at the same instant, at least 1. In any span T: at most burst + T x rate / period. */
  readonly burst: number;
  /** `local`: this node counts alone. `shared` (default): all nodes count together when there is a Redis. */
  readonly scope?: 'local' | 'shared';
}

export interface LimitOutcome {
  readonly allowed: boolean;
  /** The quota as advertised: calls per period. */
  readonly limit: number;
  /** Calls that would be allowed right now, after this one. */
  readonly remaining: number;
  /** Milliseconds until the bucket is full again. */
  readonly resetMs: number;
  /** Milliseconds until the same call would be allowed; 0 when it was, Infinity when it never will be. */
  readonly retryAfterMs: number;
  /** True when the table had no room for this bucket: refused without having been counted. */
  readonly full: boolean;
  /** True when Redis could not be asked and this node's share of the limit decided. */
  readonly degraded: boolean;
}

/** The price of one call in microseconds of virtual time. Rounded up: never more than the rate says. */
export function intervalUs(rule: LimitRule): number {
  return Math.max(1, Math.ceil((rule.periodMs * 1000) / rule.ratePerPeriod));
}

/**
 * How far ahead of now the TAT is, in microseconds. Held between 0 and the capacity: above it can only lie a
 * TAT left by a clock that was set back or by a rule that was larger, and either would lock the caller out.
 */
export function backlogUs(tatUs: number, nowUs: number, capacityUs: number): number {
  return Math.min(Math.max(tatUs - nowUs, 0), capacityUs);
}

/** The TAT after a call of `priceUs`: moved forward when the call fits, else as it was. */
export function nextTatUs(tatUs: number, nowUs: number, priceUs: number, capacityUs: number): number {
  const backlog = backlogUs(tatUs, nowUs, capacityUs);
  return nowUs + (backlog + priceUs <= capacityUs ? backlog + priceUs : backlog);
}

/** What a call of `cost` means for its caller, given the backlog before it. */
export function judge(
  rule: LimitRule,
  backlogBeforeUs: number,
  cost: number,
  degraded: boolean,
): LimitOutcome {
  const interval = intervalUs(rule);
  const capacity = rule.burst * interval;
  const wanted = backlogBeforeUs + cost * interval;
  const allowed = wanted <= capacity;
  const backlog = allowed ? wanted : backlogBeforeUs;
  let retryAfterMs = 0;
  if (!allowed) retryAfterMs = cost > rule.burst ? Number.POSITIVE_INFINITY : (wanted - capacity) / 1000;
  return {
    allowed,
    limit: rule.ratePerPeriod,
    remaining: Math.floor((capacity - backlog) / interval),
    resetMs: backlog / 1000,
    retryAfterMs,
    full: false,
    degraded,
  };
}

/**
 * The part of a rule that one of `nodes` may spend alone while they cannot count together. At least one call
 * at a time, else a small burst shared by many nodes would stop everybody.
 */
export function localShare(rule: LimitRule, nodes: number): LimitRule {
  if (nodes <= 1) return rule;
  return {
    ratePerPeriod: rule.ratePerPeriod / nodes,
    periodMs: rule.periodMs,
    burst: Math.max(1, Math.floor(rule.burst / nodes)),
  };
}
