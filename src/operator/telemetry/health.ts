/**
 * Health: what each component said last, never what it says now. Probes run on their own intervals, with deadlines;
 * a question about health reads their last answers and so costs nothing and cannot hang.
 */
import { scrubText } from './redaction.ts';

/** draft-inadarei-api-health-check-06, section 3.1. */
export type HealthStatus = 'pass' | 'warn' | 'fail';

export interface ProbeResult {
  readonly status: HealthStatus;
  /** What was measured; the time the check took when left out. */
  readonly observedValue?: number | string;
  readonly observedUnit?: string;
  /** Why not `pass`. */
  readonly output?: string;
}

export interface Probe {
  /** `component:measurement`, such as `redis:latency` (section 4). */
  readonly name: string;
  /** `component`, `datastore` or `system` (section 4.2). */
  readonly componentType: 'component' | 'datastore' | 'system';
  /** Whether the gateway is not ready without it. */
  readonly critical: boolean;
  /** Milliseconds from the end of one check to the next. */
  readonly intervalMs: number;
  /** Milliseconds after which a check has failed; `signal` is aborted then. */
  readonly deadlineMs: number;
  check(signal: AbortSignal): Promise<ProbeResult> | ProbeResult;
  close?(): void;
}

/** One component's details (section 4); `latencyMs`, `ageMs` and `critical` are additional keys, as section 4.10 allows. */
interface CheckView {
  readonly componentType: string;
  readonly status: HealthStatus;
  readonly observedValue?: number | string;
  readonly observedUnit?: string;
  readonly time?: string;
  readonly output?: string;
  readonly critical?: boolean;
  readonly latencyMs?: number;
  readonly ageMs?: number;
}

interface HealthSnapshot {
  readonly status: HealthStatus;
  readonly version: string;
  readonly releaseId?: string;
  readonly description: string;
  readonly output?: string;
  readonly checks: Readonly<Record<string, readonly CheckView[]>>;
}

export interface HealthOptions {
  readonly probes: readonly Probe[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly version: string;
  /** The commit or build, when known. */
  readonly releaseId?: string;
}

export interface Health {
  /** Adds a probe and starts it. @throws {RangeError} above `PROBES_MAX`. */
  register(probe: Probe): void;
  snapshot(): HealthSnapshot;
  /** False until `configured`, while draining, and when a critical component fails or has not answered yet. */
  ready(): boolean;
  /** The configuration has been loaded: from now on requests can be served. */
  configured(): void;
  /** No new work: `ready` is false from now on. */
  drain(): void;
  /** Stops all probes. */
  close(): void;
}

/** Components of one gateway are known when it starts; more means that something registers in a loop. */
const PROBES_MAX = 64;
/** Checks of one probe that may hang at once: more than one, so that a lost answer does not end the probing. */
const HANGING_MAX = 3;
const OUTPUT_LENGTH_MAX = 300;

interface Answer {
  readonly result: ProbeResult;
  readonly atMs: number;
  readonly latencyMs: number;
}

interface Entry {
  readonly probe: Probe;
  answer: Answer | null;
  hanging: number;
  next: NodeJS.Timeout | null;
  controller: AbortController | null;
}

function failure(output: string): ProbeResult {
  return { status: 'fail', output };
}

function explain(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

/** Resolves as the check does, or at its deadline, or when probing stops; never rejects. */
async function checkWithDeadline(entry: Entry, controller: AbortController): Promise<ProbeResult> {
  const { probe } = entry;
  const { promise: late, resolve } = Promise.withResolvers<ProbeResult>();
  const timer = setTimeout(() => {
    resolve(failure(`no answer within ${probe.deadlineMs} ms`));
    controller.abort();
  }, probe.deadlineMs);
  // Health must not keep a process alive that has nothing else to do.
  timer.unref();
  controller.signal.addEventListener('abort', () => resolve(failure('stopped')), { once: true });
  entry.hanging++;
  const answered = (async () => probe.check(controller.signal))()
    .catch((error: unknown) => failure(explain(error)))
    .finally(() => {
      entry.hanging--;
    });
  const result = await Promise.race([answered, late]);
  clearTimeout(timer);
  return result;
}

class Probing implements Health {
  readonly #options: HealthOptions;
  readonly #startedAtMs: number;
  readonly #entries: Entry[] = [];
  #configured = false;
  #draining = false;
  #closed = false;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#startedAtMs = options.now();
    for (const probe of options.probes) this.register(probe);
  }

  register(probe: Probe): void {
    if (this.#entries.length >= PROBES_MAX) throw new RangeError(`more than ${PROBES_MAX} health probes`);
    const entry: Entry = { probe, answer: null, hanging: 0, next: null, controller: null };
    this.#entries.push(entry);
    void this.#run(entry);
  }

  async #run(entry: Entry): Promise<void> {
    if (this.#closed) return;
    if (entry.hanging < HANGING_MAX) {
      const controller = new AbortController();
      entry.controller = controller;
      const begunAt = performance.now();
      const result = await checkWithDeadline(entry, controller);
      if (this.#closed) return;
      entry.answer = { result, atMs: this.#options.now(), latencyMs: performance.now() - begunAt };
    } else {
      const result = failure(`${HANGING_MAX} checks have not come back`);
      entry.answer = { result, atMs: this.#options.now(), latencyMs: entry.answer?.latencyMs ?? 0 };
    }
    entry.next = setTimeout(() => void this.#run(entry), entry.probe.intervalMs);
    entry.next.unref();
  }

  ready(): boolean {
    if (!this.#configured || this.#draining) return false;
    return this.#entries.every(
      ({ probe, answer }) => !probe.critical || (answer !== null && answer.result.status !== 'fail'),
    );
  }

  configured(): void {
    this.#configured = true;
  }

  drain(): void {
    this.#draining = true;
  }

  close(): void {
    this.#closed = true;
    for (const entry of this.#entries) {
      if (entry.next !== null) clearTimeout(entry.next);
      entry.controller?.abort();
      entry.probe.close?.();
    }
  }

  snapshot(): HealthSnapshot {
    const nowMs = this.#options.now();
    const checks: Record<string, CheckView[]> = {
      uptime: [
        {
          componentType: 'system',
          status: 'pass',
          observedValue: Math.round((nowMs - this.#startedAtMs) / 1000),
          observedUnit: 's',
          time: new Date(nowMs).toISOString(),
        },
      ],
    };
    for (const entry of this.#entries) {
      checks[entry.probe.name] ??= [];
      checks[entry.probe.name]?.push(viewOf(entry, nowMs));
    }
    const { version, releaseId } = this.#options;
    const output = this.#draining ? 'draining' : this.#configured ? null : 'configuration not loaded yet';
    return {
      status: this.#overall(),
      version,
      ...(releaseId === undefined ? {} : { releaseId }),
      description: 'Sage Gateway',
      ...(output === null ? {} : { output }),
      checks,
    };
  }

  /** A component the gateway can do without degrades it; only what stops it from serving fails it. */
  #overall(): HealthStatus {
    if (!this.ready()) return 'fail';
    const degraded = this.#entries.some(({ answer }) => answer?.result.status !== 'pass');
    return degraded ? 'warn' : 'pass';
  }
}

function viewOf({ probe, answer }: Entry, nowMs: number): CheckView {
  const { componentType, critical } = probe;
  if (answer === null) {
    return { componentType, status: critical ? 'fail' : 'warn', critical, output: 'not measured yet' };
  }
  const { result, atMs, latencyMs } = answer;
  const rounded = Math.round(latencyMs * 100) / 100;
  const measured = result.observedValue !== undefined;
  return {
    componentType,
    status: result.status,
    ...(measured ? { observedValue: result.observedValue } : { observedValue: rounded, observedUnit: 'ms' }),
    ...(measured && result.observedUnit !== undefined ? { observedUnit: result.observedUnit } : {}),
    time: new Date(atMs).toISOString(),
    // What a driver says about a failed connection may hold its URL, and that a password.
    ...(result.output === undefined ? {} : { output: scrubText(result.output).slice(0, OUTPUT_LENGTH_MAX) }),
    critical,
    latencyMs: rounded,
    ageMs: Math.max(0, Math.round(nowMs - atMs)),
  };
}

/** Starts the probes given; `close` stops them. */
export function createHealth(options: HealthOptions): Health {
  return new Probing(options);
}
