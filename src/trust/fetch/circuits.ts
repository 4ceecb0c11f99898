/**
 * Leaves alone what fails. A host whose name, connection or TLS fails is left alone as a whole; an answer that does
 * not come, or is an error, counts against its URL alone. Many parties may live behind one host name, and none of
 * them may shut the others out by a slow page of his own.
 */
import { LRUCache } from 'lru-cache';

/** Failures in a row that open a circuit. */
const FAILURES_TO_OPEN = 3;
/** How long it stays open the first time; twice as long after each probe that fails. */
const OPEN_MS = 2_000;
const OPEN_MS_MAX = 30_000;

interface Circuit {
  failures: number;
  /** Until then nothing is asked; after it one probe at a time is. */
  openUntilMs: number;
  openMs: number;
}

export interface Circuits {
  /** Whether `key` may be asked now. True for one caller only when a circuit's time is up: he is the probe. */
  mayAsk(key: string): boolean;
  succeeded(key: string): void;
  failed(key: string): void;
}

/**
 * @param capacity circuits remembered; what is forgotten is closed, which costs a failure or two
 * @param now milliseconds of a clock that only goes forward
 */
export function createCircuits(capacity: number, now: () => number): Circuits {
  const circuits = new LRUCache<string, Circuit>({ max: capacity });
  return {
    mayAsk(key) {
      const circuit = circuits.get(key);
      if (circuit === undefined || circuit.failures < FAILURES_TO_OPEN) return true;
      const nowMs = now();
      if (nowMs < circuit.openUntilMs) return false;
      circuit.openUntilMs = nowMs + circuit.openMs;
      return true;
    },
    succeeded(key) {
      circuits.delete(key);
    },
    failed(key) {
      const circuit = circuits.get(key) ?? { failures: 0, openUntilMs: 0, openMs: OPEN_MS };
      circuit.failures += 1;
      if (circuit.failures === FAILURES_TO_OPEN) circuit.openUntilMs = now() + circuit.openMs;
      if (circuit.failures > FAILURES_TO_OPEN) {
        circuit.openMs = Math.min(2 * circuit.openMs, OPEN_MS_MAX);
        circuit.openUntilMs = now() + circuit.openMs;
      }
      circuits.set(key, circuit);
    },
  };
}
