/** How often one address may be wrong about who it is. */
import { LRUCache } from 'lru-cache';

/** Wrong credentials from one address within the window; a person mistypes fewer. */
const FAILURES_MAX = 10;
const WINDOW_MS = 60_000;
/** Addresses remembered, about 200 bytes each. Whoever has more addresses than this has as many guesses anyway. */
const ADDRESSES_MAX = 4096;

export interface Attempts {
  failures: number;
  readonly windowEndsAtMs: number;
  /** A right credential has come from this address. */
  trusted: boolean;
}

export interface AttemptsByAddress {
  /** What is known of an address in the current window. */
  from(address: string, nowMs: number): Attempts;
}

export function createAttempts(): AttemptsByAddress {
  const addresses = new LRUCache<string, Attempts>({ max: ADDRESSES_MAX });
  return {
    from(address, nowMs) {
      const known = addresses.get(address);
      if (known !== undefined && nowMs < known.windowEndsAtMs) return known;
      const fresh = { failures: 0, windowEndsAtMs: nowMs + WINDOW_MS, trusted: known?.trusted ?? false };
      addresses.set(address, fresh);
      return fresh;
    },
  };
}

export function isOverLimit(attempts: Attempts): boolean {
  return attempts.failures >= FAILURES_MAX;
}

/** Seconds for Retry-After. */
export function secondsLeft(attempts: Attempts, nowMs: number): number {
  return Math.max(1, Math.ceil((attempts.windowEndsAtMs - nowMs) / 1000));
}
