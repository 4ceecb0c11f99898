/**
 * Going away without hurting anyone: readiness fails first, then nothing new is accepted, what is in flight finishes,
 * and what has not finished in time is cut.
 */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Tracker } from './connections.ts';

export interface Drain {
  /** True from the first moment: readiness answers 503, answers close their connection. */
  readonly draining: boolean;
  begin(): void;
  /** Runs when the drain begins, or at once when it has begun. */
  onDrain(listener: () => void): void;
}

export interface DrainReport {
  /** Exchanges and WebSockets that were open when the drain began and ended by themselves. */
  readonly finished: number;
  /** Those that were cut when the time was up. */
  readonly destroyed: number;
  readonly tookMs: number;
  /** False when a part of the gateway (a database, a watcher) did not close in time. */
  readonly closed: boolean;
}

export interface DrainOptions {
  /** After this many milliseconds whatever is left is destroyed. */
  readonly timeoutMs: number;
  /**
   * Between failing readiness and closing the port: the time a load balancer takes to notice. Counted in `timeoutMs`.
   */
  readonly readinessDelayMs?: number;
}

/** How long a connection that has not yet brought a whole request may still do so. */
export const SILENT_GRACE_MS = 250;
/** How long, after connections were cut, the parts behind them may take to close. */
const CLOSE_GRACE_MS = 1_000;

export function createDrain(log: FastifyBaseLogger): Drain {
  const listeners: (() => void)[] = [];
  let draining = false;
  const call = (listener: () => void): void => {
    try {
      listener();
    } catch (error) {
      // One listener that throws must not keep the others from closing what is theirs.
      log.error({ err: error }, 'a drain listener failed');
    }
  };
  return {
    get draining() {
      return draining;
    },
    begin() {
      if (draining) return;
      draining = true;
      for (const listener of listeners) call(listener);
    },
    onDrain(listener) {
      listeners.push(listener);
      if (draining) call(listener);
    },
  };
}

function wait(ms: number): { done: Promise<false>; cancel: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const done = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  return { done, cancel: () => clearTimeout(timer) };
}

/**
 * Drains and closes the server; resolves within `timeoutMs` plus one second, whatever is open.
 * Called once, by whoever received the signal.
 */
export async function drain(app: FastifyInstance, options: DrainOptions): Promise<DrainReport> {
  const tracker = app.connections as Tracker;
  const startedAt = performance.now();
  app.drain.begin();
  const open = tracker.requestsInFlight + tracker.upgradesOpen;
  const delayMs = Math.min(options.readinessDelayMs ?? 0, options.timeoutMs);
  if (delayMs > 0) await wait(delayMs).done;
  const closed = app.close().then(() => true as const);
  const deadline = wait(Math.max(0, options.timeoutMs - delayMs));
  let done = await Promise.race([closed, deadline.done]);
  deadline.cancel();
  let destroyed = 0;
  if (!done) {
    destroyed = tracker.destroyAll();
    const grace = wait(CLOSE_GRACE_MS);
    done = await Promise.race([closed, grace.done]);
    grace.cancel();
  }
  return {
    finished: Math.max(0, open - destroyed),
    destroyed,
    tookMs: Math.round(performance.now() - startedAt),
    closed: done,
  };
}
