/**
 * Everything that is open towards a caller: deliveries, uploads, event streams, WebSockets. One place, so that a
 * revocation finds them all, and one clock for the timeouts of each: a timer per phase and request would cost more
 * than the forwarding does.
 */
import { Bag } from '../bag.ts';
import type { Caller } from '../identity/caller.ts';

/** How often deadlines are looked at, and so how late one may be noticed. */
const SWEEP_MS = 100;
/**
 * How far the clock moves at one sweep, at most. After the event loop was blocked, answers wait unread in the sockets;
 * a clock that jumped would time out requests that were answered in time.
 */
const ADVANCE_MAX_MS = 2 * SWEEP_MS;

export type CloseReason = 'revoked' | 'expired';

export interface OpenExchange {
  readonly caller: Caller | null;
  /** Ends the exchange towards both sides; must lead to `delete`. */
  close(reason: CloseReason): void;
  /** Looks at the deadlines; `nowMs` is this registry's clock. */
  tick(nowMs: number): void;
}

export class OpenExchanges {
  /** Milliseconds on a clock of its own: coarse, monotonic, and only moving while something is open. */
  nowMs = 0;
  readonly #open = new Bag<OpenExchange>();
  readonly #monotonicMs: () => number;
  readonly #wallMs: () => number;
  #timer: NodeJS.Timeout | undefined;
  #sweptAt = 0;

  /**
   * @param monotonicMs for deadlines
   * @param wallMs milliseconds since the epoch, for the expiry of callers' keys
   */
  constructor(monotonicMs: () => number, wallMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#wallMs = wallMs;
  }

  get size(): number {
    return this.#open.size;
  }

  add(exchange: OpenExchange): void {
    this.#open.add(exchange);
    if (this.#timer === undefined) this.#start();
  }

  delete(exchange: OpenExchange): void {
    this.#open.delete(exchange);
  }

  /** Who has something open; a caller appears once for each exchange. */
  *callers(): Generator<Caller> {
    for (const { caller } of this.#open) if (caller !== null) yield caller;
  }

  /**
   * Closes what a DID's callers have open, as far as `condemned` says so (one key of several, for instance).
   * The registry is as large as the connections allow, so it is simply walked: revocations are rare.
   * @returns how many were closed
   */
  closeByDid(did: string, condemned: (caller: Caller) => boolean = () => true): number {
    let closed = 0;
    for (const exchange of this.#open) {
      const { caller } = exchange;
      if (caller === null || caller.did !== did || !condemned(caller)) continue;
      exchange.close('revoked');
      closed++;
    }
    return closed;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #start(): void {
    this.#sweptAt = this.#monotonicMs();
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#timer.unref();
  }

  #sweep(): void {
    const now = this.#monotonicMs();
    this.nowMs += Math.min(now - this.#sweptAt, ADVANCE_MAX_MS);
    this.#sweptAt = now;
    if (this.#open.size === 0) {
      this.stop();
      return;
    }
    const wallMs = this.#wallMs();
    for (const exchange of this.#open) {
      if (exchange.caller !== null && exchange.caller.validUntilMs <= wallMs) exchange.close('expired');
      else exchange.tick(this.nowMs);
    }
  }
}
