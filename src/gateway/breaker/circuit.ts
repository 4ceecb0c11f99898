/**
 * One circuit per instance, on opossum's state machine. While the circuit is closed a request costs one field read and
 * a counter: it is not run through opossum's `fire`, whose promises and events cost about 5 us. What opossum needs in
 * order to decide is reported instead: a success by counting it in the rolling window, a failure by firing an action
 * that has failed, which makes opossum itself compare the rate and open. A half-open circuit does use `fire`, so the
 * single probe and what follows from it are opossum's, too.
 */
import { channel } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import CircuitBreaker from 'opossum';
import { Refused } from '../refusal.ts';
import { BREAKER_REFUSALS } from './errors.ts';

/** Carries a `CircuitChange` each time a circuit changes its state. */
const CIRCUIT_CHANNEL = 'sage:circuit';
const circuitChanged = channel(CIRCUIT_CHANNEL);

export type CircuitState = 'closed' | 'open' | 'half-open';

export interface CircuitView {
  readonly agentId: string;
  readonly instance: string;
  readonly state: CircuitState;
}

/** What operators are shown. */
export interface CircuitStanding extends CircuitView {
  /** Since when it has been in that state, milliseconds since the epoch. */
  readonly sinceMs: number;
}

export interface CircuitSettings {
  /** Opens when more than this share of the window's requests failed, in percent. */
  readonly failurePercentMax: number;
  /** Fewer requests than this within the window prove nothing. */
  readonly requestsMin: number;
  /** How long a result counts. */
  readonly windowMs: number;
  /** How long an open circuit stays open before it lets one request try. */
  readonly resetMs: number;
}

export const CIRCUIT_DEFAULTS: CircuitSettings = {
  failurePercentMax: 50,
  requestsMin: 5,
  windowMs: 10_000,
  resetMs: 5_000,
};

/** The window moves in this many steps: 1 s each by default, fine enough for the Retry-After that callers see. */
const WINDOW_BUCKETS = 10;

/** What `enter` granted: nothing, an ordinary request, or the one request that tests a half-open circuit. */
export type Permit = 'refused' | 'closed' | 'probe';

interface Probe {
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

function ignore(): void {
  // The outcome has reached opossum through the action already; nobody else waits for it.
}

export class Circuit {
  readonly agentId: string;
  readonly instance: string;
  readonly #settings: CircuitSettings;
  readonly #rotation: EventEmitter;
  readonly #now: () => number;
  #breaker: CircuitBreaker<[Promise<void>], void>;
  #state: CircuitState = 'closed';
  #sinceMs = Date.now();
  #opensAgainAt = 0;
  /** The probe opossum is waiting for; null while none has been fired. */
  #probe: Probe | null = null;
  /** True when the request that carried the probe went away without an answer: the next one takes it over. */
  #probeAbandoned = false;

  constructor(
    agentId: string,
    instance: string,
    settings: CircuitSettings,
    rotation: EventEmitter,
    now: () => number,
  ) {
    this.agentId = agentId;
    this.instance = instance;
    this.#settings = settings;
    this.#rotation = rotation;
    this.#now = now;
    this.#breaker = this.#closedBreaker();
  }

  get state(): CircuitState {
    return this.#state;
  }

  /** Milliseconds since the epoch; for people alone. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** Closes it by an operator's word, and forgets the failures that opened it: the next few would else open it again. */
  reset(): void {
    const wasClosed = this.#state === 'closed';
    this.shutdown();
    this.#breaker = this.#closedBreaker();
    if (!wasClosed) this.#changed('closed');
  }

  /** Whether a request may be sent now. */
  permits(): boolean {
    return (
      this.#state === 'closed' ||
      (this.#state === 'half-open' && (this.#probe === null || this.#probeAbandoned))
    );
  }

  /** Claims the right to send one request; every permit is given back by exactly one of the three methods below. */
  enter(): Permit {
    if (this.#state === 'closed') return 'closed';
    if (!this.permits()) return 'refused';
    if (this.#probe === null) this.#fireProbe();
    this.#probeAbandoned = false;
    return 'probe';
  }

  /** The instance answered: whatever it said, it is there. */
  succeed(permit: Permit): void {
    if (permit === 'probe') this.#probe?.resolve();
    // The event by which opossum counts a request; without a failure beside it, it lowers the rate.
    else if (permit === 'closed') this.#breaker.emit('fire');
  }

  /** The instance failed in a way that is its own fault. */
  fail(permit: Permit, reason: Error): void {
    if (permit === 'probe') {
      this.#probe?.reject(reason);
    } else if (permit === 'closed' && this.#state === 'closed') {
      // A failure that arrives after the circuit has opened says nothing new, and must not take the probe's place.
      this.#breaker.fire(Promise.reject(reason)).catch(ignore);
    }
  }

  /** Nothing was learned, as when the caller went away first. */
  release(permit: Permit): void {
    if (permit === 'probe') this.#probeAbandoned = true;
  }

  /** Seconds until a request may be let through again; at least 1. */
  retryAfterSeconds(): number {
    const left = this.#state === 'open' ? this.#opensAgainAt - this.#now() : 0;
    return Math.max(1, Math.ceil(left / 1_000));
  }

  /** The refusal to give while this circuit is not letting requests through. */
  refusal(): Refused {
    return new Refused(BREAKER_REFUSALS.circuit_open, {
      explanation: `the circuit of ${this.instance} is ${this.#state}`,
      headers: ['retry-after', String(this.retryAfterSeconds())],
    });
  }

  /** Stops the timers; what is under way may still report, to no effect. */
  shutdown(): void {
    this.#probe?.resolve();
    this.#breaker.shutdown();
  }

  #closedBreaker(): CircuitBreaker<[Promise<void>], void> {
    const { failurePercentMax, requestsMin, windowMs, resetMs } = this.#settings;
    const breaker = new CircuitBreaker((outcome: Promise<void>) => outcome, {
      name: `${this.agentId} ${this.instance}`,
      // The proxy has a timeout for each phase; a second clock here would only disagree with it.
      timeout: false,
      errorThresholdPercentage: failurePercentMax,
      volumeThreshold: requestsMin,
      rollingCountTimeout: windowMs,
      rollingCountBuckets: WINDOW_BUCKETS,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: this.#rotation,
      resetTimeout: resetMs,
    });
    breaker.on('open', () => this.#changed('open'));
    breaker.on('halfOpen', () => this.#changed('half-open'));
    breaker.on('close', () => this.#changed('closed'));
    return breaker;
  }

  #fireProbe(): void {
    const outcome = new Promise<void>((resolve, reject) => {
      this.#probe = { resolve, reject };
    });
    this.#breaker.fire(outcome).catch(ignore);
  }

  #changed(state: CircuitState): void {
    this.#state = state;
    this.#sinceMs = Date.now();
    this.#probe = null;
    this.#probeAbandoned = false;
    if (state === 'open') this.#opensAgainAt = this.#now() + this.#settings.resetMs;
    if (circuitChanged.hasSubscribers) {
      circuitChanged.publish({ agentId: this.agentId, instance: this.instance, state } satisfies CircuitView);
    }
  }
}

export interface Circuits {
  open(agentId: string, instance: string): Circuit;
  close(circuit: Circuit): void;
  list(): readonly CircuitStanding[];
  /** Closes an instance's circuit by an operator's word; false when there is none of that name. */
  reset(agentId: string, instance: string): boolean;
  /** Closes every circuit and the window's timer. */
  shutdown(): void;
}

/** @param now milliseconds on a monotonic clock, for Retry-After */
export function createCircuits(settings: CircuitSettings, now: () => number): Circuits {
  const circuits = new Set<Circuit>();
  // One timer moves the windows of all circuits; opossum would start one each.
  const rotation = new EventEmitter();
  rotation.setMaxListeners(0);
  const timer = setInterval(() => rotation.emit('rotate'), Math.max(1, settings.windowMs / WINDOW_BUCKETS));
  timer.unref();
  const close = (circuit: Circuit): void => {
    if (circuits.delete(circuit)) circuit.shutdown();
  };
  return {
    open(agentId, instance) {
      const circuit = new Circuit(agentId, instance, settings, rotation, now);
      circuits.add(circuit);
      return circuit;
    },
    close,
    list: () =>
      Array.from(circuits, ({ agentId, instance, state, sinceMs }) => ({
        agentId,
        instance,
        state,
        sinceMs,
      })),
    reset(agentId, instance) {
      // An upstream over both protocols, or with other timeouts while old requests end, has a circuit for each.
      const named = [...circuits].filter((one) => one.agentId === agentId && one.instance === instance);
      for (const circuit of named) circuit.reset();
      return named.length > 0;
    },
    shutdown() {
      clearInterval(timer);
      for (const circuit of circuits) close(circuit);
    },
  };
}
