import type { Readable } from 'node:stream';
import { Refused } from '../refusal.ts';
import { IDENTITY_REFUSALS } from './errors.ts';

/**
 * Bodies of signed requests are held until their digest is proven, so no agent acts on unproven bytes. One
 * caller is bounded by `limitBytes`, all callers together by a budget: what one process may hold for strangers.
 */
export interface BodyBudget {
  /** Bytes all requests together may hold at once. */
  readonly totalBytes: number;
  heldBytes: number;
}

export interface BodyLimits {
  readonly limitBytes: number;
  /** Longest silence between two chunks, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Longest time for the whole body, in milliseconds: a byte at a time must not hold a place for ever. */
  readonly totalTimeoutMs: number;
}

const EMPTY = Buffer.alloc(0);
/**
 * Chunks joined into one as they come. A chunk of one byte takes some 400 to hold, which the budget does not count: a body
 * sent byte by byte would take hundreds of times its length.
 */
const CHUNKS_JOINED = 256;

/**
 * Reads a body to its end. Its bytes stay counted in the budget after success: whoever takes the body
 * subtracts its length once it has been handed on.
 * @param declaredBytes the Content-Length, or null when there is none.
 * @throws {Refused} body_too_large, body_memory_exhausted at once; body_timeout, body_aborted later.
 */
export function readBody(
  source: Readable,
  declaredBytes: number | null,
  limits: BodyLimits,
  budget: BodyBudget,
): Promise<Buffer> {
  if (declaredBytes !== null && declaredBytes > limits.limitBytes)
    throw new Refused(IDENTITY_REFUSALS.body_too_large);
  if (declaredBytes !== null && budget.heldBytes + declaredBytes > budget.totalBytes) {
    throw new Refused(IDENTITY_REFUSALS.body_memory_exhausted);
  }
  return new Promise<Buffer>((resolve, reject) => {
    new BodyReading(source, limits, budget, resolve, reject).start();
  });
}

/** One body on its way in; releases its listeners and timers however it ends. */
class BodyReading {
  readonly #source: Readable;
  readonly #limits: BodyLimits;
  readonly #budget: BodyBudget;
  readonly #resolve: (body: Buffer) => void;
  readonly #reject: (error: Refused) => void;
  readonly #joined: Buffer[] = [];
  #chunks: Buffer[] = [];
  #bytes = 0;
  #idle: NodeJS.Timeout | undefined;
  #total: NodeJS.Timeout | undefined;

  constructor(
    source: Readable,
    limits: BodyLimits,
    budget: BodyBudget,
    resolve: (body: Buffer) => void,
    reject: (error: Refused) => void,
  ) {
    this.#source = source;
    this.#limits = limits;
    this.#budget = budget;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    this.#source.on('data', this.#onData);
    this.#source.on('end', this.#onEnd);
    this.#source.on('error', this.#onGone);
    this.#source.on('close', this.#onGone);
    this.#idle = setTimeout(this.#onTimeout, this.#limits.idleTimeoutMs);
    this.#total = setTimeout(this.#onTimeout, this.#limits.totalTimeoutMs);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    this.#budget.heldBytes += chunk.length;
    if (this.#bytes > this.#limits.limitBytes) {
      this.#fail(new Refused(IDENTITY_REFUSALS.body_too_large));
    } else if (this.#budget.heldBytes > this.#budget.totalBytes) {
      this.#fail(new Refused(IDENTITY_REFUSALS.body_memory_exhausted));
    } else {
      if (this.#chunks.push(chunk) === CHUNKS_JOINED) {
        this.#joined.push(Buffer.concat(this.#chunks));
        this.#chunks = [];
      }
      this.#idle?.refresh();
    }
  };

  readonly #onEnd = (): void => {
    this.#detach();
    const [first] = this.#chunks;
    if (first !== undefined && first.length === this.#bytes) this.#resolve(first);
    else if (this.#bytes === 0) this.#resolve(EMPTY);
    else this.#resolve(Buffer.concat([...this.#joined, ...this.#chunks], this.#bytes));
  };

  readonly #onTimeout = (): void => this.#fail(new Refused(IDENTITY_REFUSALS.body_timeout));
  readonly #onGone = (): void => this.#fail(new Refused(IDENTITY_REFUSALS.body_aborted));

  #fail(error: Refused): void {
    this.#detach();
    this.#budget.heldBytes -= this.#bytes;
    this.#source.on('error', ignoreLateError);
    this.#source.pause();
    this.#reject(error);
  }

  #detach(): void {
    clearTimeout(this.#idle);
    clearTimeout(this.#total);
    this.#source.off('data', this.#onData);
    this.#source.off('end', this.#onEnd);
    this.#source.off('error', this.#onGone);
    this.#source.off('close', this.#onGone);
  }
}

/** The body was given up already; a reset that follows concerns nobody, but must not be an unhandled event. */
function ignoreLateError(): void {
  return;
}
