/**
 * What this node knows of the memory of Redis: which one it is, since when it has forgotten nothing, and whether the
 * clocks agree. Nonces are reserved in that memory or not at all (`reserve.lua`).
 */

/**
 * How far the clocks of a node and of Redis may differ. Two nodes then differ by twice that at most, which is less than
 * the margin by which nonces are kept longer. With NTP it is some milliseconds.
 */
export const CLOCK_DIFFERENCE_MS_MAX = 2_500;

/** What `heartbeat.lua` returns. */
export type Heartbeat = readonly [liveNodes: number, mark: string, beat: number, clockMs: number];

interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
  readonly latencyMs: number;
}

export class RedisMemory {
  /** Names the memory that this node last saw; empty before the first heartbeat. */
  mark = '';
  beat = 0;
  /** Signatures created before may have been used and forgotten; milliseconds since the epoch. */
  sinceMs = 0;
  /** Whether another memory went before it, in which signatures dated ahead may have been noted. */
  followsLoss = false;
  /** When it was last noticed that Redis had forgotten, milliseconds since the epoch; 0 for never. */
  forgotAtMs = 0;
  /** Why the clocks forbid nonces, or empty. */
  clockFault = '';
  /** The clock of Redis has jumped ahead: what it keeps for a time may be gone, so its memory has to begin anew. */
  jumped = false;
  /** The clock of Redis over our monotonic one. */
  #offsetMs = Number.NaN;

  /** Takes in a heartbeat's answer. @param at when it was sent @returns true when Redis has forgotten since the last one @throws TypeError for what no script of ours answers */
  note([, mark, beat, clockMs]: Heartbeat, at: Moment): boolean {
    const [, since, kind] = mark.split(' ');
    const sinceMs = Number(since);
    // Compared with a date that is none, every signature would be young enough.
    if (!Number.isSafeInteger(sinceMs) || !Number.isSafeInteger(beat) || !Number.isFinite(clockMs))
      throw new TypeError('the answer to a heartbeat cannot be read');
    const forgot = this.mark !== '' && this.mark !== mark;
    const offsetMs = clockMs - (at.monotonicMs + at.latencyMs / 2);
    this.jumped = !forgot && offsetMs - this.#offsetMs > CLOCK_DIFFERENCE_MS_MAX;
    this.#offsetMs = offsetMs;
    this.mark = mark;
    this.beat = beat;
    this.sinceMs = sinceMs;
    this.followsLoss = kind !== 'f';
    if (forgot) this.forgotAtMs = at.wallMs;
    const differ = clockMs - (at.wallMs + at.latencyMs / 2);
    this.clockFault =
      Math.abs(differ) <= CLOCK_DIFFERENCE_MS_MAX
        ? ''
        : `the clock of Redis is ${(Math.abs(differ) / 1_000).toFixed(1)} s ${differ > 0 ? 'ahead of' : 'behind'} this node's: nonces could be forgotten too early; set both by NTP`;
    return forgot;
  }
}
