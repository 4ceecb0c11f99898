/**
 * How long a nonce has been remembered, whatever the wall clock does. Slots live by a clock that never steps: a wall
 * clock that jumps ahead frees nothing early. When the wall clock steps back, signatures become acceptable again
 * whose slots were freed; which those can be is told by three numbers that all threads share:
 *
 * - the most by which the wall clock was ever ahead of the steady one. Without the step back it would now show
 *   `steady + highest`, and slots of signatures acceptable until then are free again;
 * - the last moment at which any signature accepted so far could be accepted;
 * - the same as it was when the step was noticed. Beyond it nothing was accepted before the step.
 *
 * A signature is in doubt when both say so. With a step that is shorter than the time a signature lives no fresh one
 * is; with a longer one all are until the clock has caught up.
 */

/** The steady clock's unit for differences, so that 32 bits hold six years of them. */
const UNIT_MS = 100;
/** Half of the margin by which nonces are kept longer. A thread that is stopped between two clocks reads such steps too. */
const STEP_UNITS = 5;
const UNITS_MAX = 0x7fff_ffff;
/** Another thread may accept in the second in which this one notices the step. */
const SLACK_SECONDS = 2;

const HIGHEST = 0;
const LAST = 1;
const ACCEPTED = 2;
const DOUBTED = 3;
/** Words of shared memory that one clock takes. */
export const STEADY_WORDS = 4;

export interface SteadyClock {
  /** Milliseconds; never steps, and begins as the wall clock did. */
  now(): number;
  /**
   * Whether a signature that is acceptable until that moment may have been used and been forgotten.
   * @param wallMs the wall clock, read just before, in milliseconds since the epoch
   */
  mayHaveForgotten(acceptableUntilMs: number, wallMs: number): boolean;
  /** Notes that a signature is about to be accepted. */
  accepting(acceptableUntilMs: number): void;
}

export interface SteadyOptions {
  /** `STEADY_WORDS` zeroed words of shared memory. */
  readonly words: Int32Array;
  /** What wall clock and monotonic clock showed at the same moment, when those words were made. */
  readonly wallMs: number;
  readonly monotonicMs: number;
  /** Milliseconds that never step; one clock for all threads, which `performance.now()` is not. */
  readonly monotonicNow: () => number;
  /** Told by the one thread that notices it that the wall clock has stepped back. */
  readonly onStepBack: (milliseconds: number) => void;
}

export function createSteadyClock(options: SteadyOptions): SteadyClock {
  const { words, wallMs, monotonicMs, monotonicNow, onStepBack } = options;
  // Seconds since the epoch outgrow a signed word in 2038.
  const seconds = new Uint32Array(words.buffer, words.byteOffset, STEADY_WORDS);
  const now = (): number => wallMs + (monotonicNow() - monotonicMs);

  /** Notes how far the wall clock is ahead now; returns it in units. */
  const observe = (ahead: number): void => {
    raise(words, HIGHEST, ahead);
    const last = Atomics.load(words, LAST);
    if (ahead === last || (ahead < last && ahead >= last - STEP_UNITS)) return;
    if (ahead < last) raise(seconds, DOUBTED, Atomics.load(seconds, ACCEPTED) + SLACK_SECONDS);
    const mine = Atomics.compareExchange(words, LAST, last, ahead) === last;
    if (mine && ahead < last) onStepBack((last - ahead) * UNIT_MS);
  };

  return {
    now,
    mayHaveForgotten(acceptableUntilMs, wall) {
      const steady = now();
      const ahead = toUnits(wall - steady);
      observe(ahead);
      const highest = Atomics.load(words, HIGHEST);
      if (ahead >= highest - STEP_UNITS) return false;
      const doubtedMs = Atomics.load(seconds, DOUBTED) * 1_000;
      if (wall > doubtedMs) {
        // Nothing that was accepted before the step can be accepted any more.
        Atomics.compareExchange(words, HIGHEST, highest, ahead);
        return false;
      }
      return acceptableUntilMs <= doubtedMs && acceptableUntilMs < steady + highest * UNIT_MS;
    },
    accepting: (acceptableUntilMs) => raise(seconds, ACCEPTED, Math.ceil(acceptableUntilMs / 1_000)),
  };
}

function toUnits(milliseconds: number): number {
  return Math.max(-UNITS_MAX, Math.min(UNITS_MAX, Math.round(milliseconds / UNIT_MS)));
}

function raise(words: Int32Array | Uint32Array, at: number, value: number): void {
  for (let before = Atomics.load(words, at); value > before; ) {
    const found = Atomics.compareExchange(words, at, before, value);
    if (found === before) return;
    before = found;
  }
}
