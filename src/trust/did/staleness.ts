/**
 * How far behind the chain this node's watcher is, and so what cached keys are still good for. The report is a
 * heartbeat: its age is added to its lag, so a watcher that falls silent is a lagging watcher.
 */

export interface WatcherReport {
  /** How long ago, in milliseconds, the watcher last knew itself level with the head of the chain. */
  readonly lagMs: number;
  readonly connected: boolean;
}

/**
 * `live`: everything may be used. `degraded`: not connected, still within the bound; what is read now is kept for
 * a shorter time. `lagging`: only safe methods may use cached keys. `lost`: nobody may.
 */
export type Sight = 'live' | 'degraded' | 'lagging' | 'lost';

export interface StalenessBounds {
  /** Largest lag at which a request with an unsafe method is served from cached keys. */
  readonly maxHeadLagMs: number;
  /** The same for safe methods (RFC 9110, section 9.2.1). */
  readonly maxSafeHeadLagMs: number;
}

const COMPARED_MS = 100;

/**
 * A clock for ages: it goes on by as much as the one of its two that went further since it was last read. A wall clock that
 * is set back would make what is old look new, and a monotonic one stands still while the machine sleeps. The two are
 * compared over no less than `COMPARED_MS`, or their different grains would add up.
 */
export function createAgeClock(now: () => number, monotonicNow: () => number): () => number {
  let wallMs = now();
  let monotonicMs = monotonicNow();
  let ageMs = wallMs;
  return () => {
    const [nextWallMs, nextMonotonicMs] = [now(), monotonicNow()];
    const wentMs = Math.max(0, nextWallMs - wallMs, nextMonotonicMs - monotonicMs);
    if (wentMs < COMPARED_MS && nextWallMs >= wallMs) return ageMs + wentMs;
    ageMs += wentMs;
    wallMs = nextWallMs;
    monotonicMs = nextMonotonicMs;
    return ageMs;
  };
}

/** What `report` allows at `nowMs`, when it was made at `reportedAtMs`. */
export function sightOf(
  report: WatcherReport,
  reportedAtMs: number,
  nowMs: number,
  bounds: StalenessBounds,
): Sight {
  const lagMs = report.lagMs + Math.max(0, nowMs - reportedAtMs);
  // Written so that NaN falls through to `lost`.
  if (lagMs <= bounds.maxHeadLagMs) return report.connected ? 'live' : 'degraded';
  if (lagMs <= bounds.maxSafeHeadLagMs) return 'lagging';
  return 'lost';
}
