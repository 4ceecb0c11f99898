/**
 * The answer of admission. Its fields are written only when somebody reads them: most verdicts are "go on", and
 * making the text of two fields costs more than the limit itself.
 *
 * RateLimit and RateLimit-Policy are those of draft-ietf-httpapi-ratelimit-headers (-09 and later): lists of
 * policies by name, `q` the quota and `w` the seconds it is for; `r` what remains now and `t` the seconds
 * until all of it is there again. A GCRA bucket refills all the time, so `r` counts the burst that is left.
 */
import type { LimitOutcome, LimitRule } from '../../store/gcra.ts';
import { Refused } from '../refusal.ts';
import { type AdmissionCode, admissionRefusals } from './errors.ts';

export class Verdict {
  readonly allowed: boolean;
  /** Empty when allowed. */
  readonly code: '' | AdmissionCode;
  readonly #policy: string;
  readonly #rule: LimitRule | null;
  readonly #outcome: LimitOutcome | null;
  readonly #retryAfterMs: number;
  #refusal: Refused | null = null;

  constructor(
    code: '' | AdmissionCode,
    policy: string,
    rule: LimitRule | null,
    outcome: LimitOutcome | null,
    retryAfterMs: number,
  ) {
    this.allowed = code === '';
    this.code = code;
    this.#policy = policy;
    this.#rule = rule;
    this.#outcome = outcome;
    this.#retryAfterMs = retryAfterMs;
  }

  /** Response fields, flat name, value pairs; they belong on allowed responses too. */
  get headers(): string[] {
    const fields: string[] = [];
    if (this.#rule !== null && this.#outcome !== null && !this.#outcome.full) {
      const { remaining, resetMs, limit } = this.#outcome;
      fields.push(
        'ratelimit-policy',
        `"${this.#policy}";q=${Math.floor(limit)};w=${seconds(this.#rule.periodMs)}`,
      );
      fields.push('ratelimit', `"${this.#policy}";r=${remaining};t=${seconds(resetMs)}`);
    }
    // RFC 9110, section 10.2.3: whole seconds. Never 0, which would invite an immediate retry.
    if (!this.allowed && Number.isFinite(this.#retryAfterMs)) {
      fields.push('retry-after', String(Math.max(1, seconds(this.#retryAfterMs))));
    }
    return fields;
  }

  /** What to throw, or null when the request may go on. */
  get refusal(): Refused | null {
    if (this.code === '') return null;
    this.#refusal ??= new Refused(admissionRefusals[this.code], { headers: this.headers });
    return this.#refusal;
  }
}

/** Rounded up, so that whoever waits that long has waited long enough. */
function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}

/** Nothing limits this request. */
export const UNLIMITED = new Verdict('', '', null, null, 0);
