/**
 * Everything that is open towards a caller: deliveries, uploads, event streams, WebSockets. One place, so that a
 * revocation finds them all, and one clock for the timeouts of each: a timer per phase and request would cost more
 * than the forwarding does.
 */
import type { Caller } from '../identity/caller.ts';

/** How often deadlines are looked at, and so how late one may be noticed. */
const SWEEP_MS = 100;
/**
 * How far the clock moves at one sweep, at most. After the event loop was blocked, answers wait unread in the sockets;
 * a clock that jumped would time out requests that were answered in time.
 */
const ADVANCE_MAX_MS = 2 * SWEEP_MS;

export type CloseReason = 'revoked' | 'expired' | 'draining';

export interface OpenExchange {
  readonly caller: Caller | null;
  /** Where the registry keeps it; the registry's own. Classes declare it, so that their objects keep one shape. */
  slot?: number;
  /** Ends the exchange towards both sides; must lead to `delete`. */
  close(reason: CloseReason): void;
  /** Looks at the deadlines; `nowMs` is this registry's clock. */
  tick(nowMs: number): void;
}

export class OpenExchanges {
  /** Milliseconds on a clock of its own: coarse, monotonic, and only moving while something is open. */
  nowMs = 0;
  /**
   * An array rather than a Set: a Set that is added to and deleted from grows a chain of outgrown tables, each still
   * holding what was in it. Once one of them is in the old generation, every exchange survives its garbage collections
   * until the next full one; that cost 10 us of CPU a request.
   */
  readonly #open: OpenExchange[] = [];
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
    return this.#open.length;
  }

  add(exchange: OpenExchange): void {
    exchange.slot = this.#open.push(exchange) - 1;
    if (this.#timer === undefined) this.#start();
  }

  delete(exchange: OpenExchange): void {
    const { slot } = exchange;
    if (slot === undefined || this.#open[slot] !== exchange) return;
    // The last one takes its place.
    const last = this.#open.pop() as OpenExchange;
    if (last === exchange) return;
    this.#open[slot] = last;
    last.slot = slot;
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
    // From the end: one that closes is replaced by one that was seen already.
    for (let at = this.#open.length - 1; at >= 0; at--) {
      const exchange = this.#open[at];
      if (
        exchange === undefined ||
        exchange.caller === null ||
        exchange.caller.did !== did ||
        !condemned(exchange.caller)
      )
        continue;
      exchange.close('revoked');
      closed++;
    }
    return closed;
  }

  /** Closes everything, as when the drain's time is up. */
  closeAll(reason: CloseReason): void {
    for (let at = this.#open.length - 1; at >= 0; at--) this.#open[at]?.close(reason);
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
    if (this.#open.length === 0) {
      this.stop();
      return;
    }
    const wallMs = this.#wallMs();
    for (let at = this.#open.length - 1; at >= 0; at--) {
      const exchange = this.#open[at];
      if (exchange === undefined) continue;
      if (exchange.caller !== null && exchange.caller.validUntilMs <= wallMs) exchange.close('expired');
      else exchange.tick(this.nowMs);
    }
  }
}
