export interface Rate {
  readonly perSecond: number;
  /** At once, after a time without any. */
  readonly burst: number;
}

/** Takes one of a budget; false when it is used up. */
export type Take = () => boolean;

/** Spends at a rate, by the generic cell rate algorithm. @param now milliseconds of a clock that only goes forward */
export function createBudget({ perSecond, burst }: Rate, now: () => number): Take {
  const intervalMs = 1_000 / perSecond;
  /** When the budget will be whole again. */
  let wholeAtMs = 0;
  return () => {
    const nowMs = now();
    const next = Math.max(wholeAtMs, nowMs) + intervalMs;
    if (next - nowMs > burst * intervalMs) return false;
    wholeAtMs = next;
    return true;
  };
}
