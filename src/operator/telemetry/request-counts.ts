/** What is counted for each request: a map look-up and a dozen additions, about 0.1 us. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { RequestRecord } from '../../gateway/record.ts';
import { type Buckets, FoldedHistogram } from './histogram.ts';

export interface RequestCounts {
  readonly refusedByListener: (code: string) => void;
  readonly requestStarted: (record: RequestRecord) => void;
  readonly requestFinished: (record: RequestRecord) => void;
}

/** Where labels that would break a bound are counted. */
export const OTHER = '_other';
/** Requests for no agent of ours. */
const UNKNOWN_AGENT = '_unknown';
/** Agents with series of their own, about 60 series each; the rest share `_other`. */
const AGENTS_MAX = 500;
/** Refusal codes with a series of their own: all catalogues together have fewer. */
const CODES_MAX = 200;
const CODE = /^\w{1,64}$/;

const TRANSPORTS = ['http/1.1', 'h2', 'websocket'] as const;
/**
 * `delivered`: the agent answered below 400; `agent_4xx`, `agent_5xx`: it answered so; `refused`: we refused (below 500);
 * `failed`: we could not deliver (500 and above); `aborted`: the caller went away first.
 */
const OUTCOMES = ['delivered', 'agent_4xx', 'agent_5xx', 'refused', 'failed', 'aborted'] as const;
const EFFECTS = ['allow', 'deny', 'none'] as const;
const ALGORITHMS = [
  'ed25519',
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'rsa-pss-sha512',
  'rsa-v1_5-sha256',
  'hmac-sha256',
  'ecdsa-secp256k1-sha256',
  'ecdsa-secp256k1-keccak256',
  // A signature that did not verify leaves no caller, and so no algorithm, on the record.
  'unknown',
] as const;

const REQUEST_SECONDS = [
  0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
/** One verification is 40 to 110 us where this was measured; RSA and a busy core reach milliseconds. */
const VERIFICATION_SECONDS = [
  0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002_5, 0.005, 0.01,
];

interface AgentCounts {
  readonly label: string;
  /** Transport by outcome. */
  readonly requests: Float64Array;
  readonly duration: Buckets;
  readonly upstream: Buckets;
  bytesIn: number;
  bytesOut: number;
  retries: number;
}

function outcomeOf(record: RequestRecord): number {
  if (record.aborted) return 5;
  if (record.code !== '') return record.status >= 500 ? 4 : 3;
  if (record.status >= 500) return 2;
  if (record.status >= 400) return 1;
  return record.status === 0 ? 5 : 0;
}

function transportOf(record: RequestRecord): number {
  return record.transport === 'http/1.1' ? 0 : record.transport === 'h2' ? 1 : 2;
}

/** Keeps counts by agent, collapsing what is not configured and what would break the bound. */
class Agents {
  readonly all = new Map<string, AgentCounts>();
  readonly #isAgent: (id: string) => boolean;
  readonly #duration: FoldedHistogram<'agent'>;
  readonly #upstream: FoldedHistogram<'agent'>;

  constructor(registry: Registry, isAgent: (id: string) => boolean) {
    this.#isAgent = isAgent;
    this.#duration = new FoldedHistogram({
      name: 'sage_request_duration_seconds',
      help: 'From the request head to the last byte handed over; WebSockets are left out, since they last.',
      labelNames: ['agent'],
      buckets: REQUEST_SECONDS,
    });
    this.#upstream = new FoldedHistogram({
      name: 'sage_upstream_duration_seconds',
      help: "From the decision to the agent's response head, attempts included.",
      labelNames: ['agent'],
      buckets: REQUEST_SECONDS,
    });
    registry.registerMetric(this.#duration);
    registry.registerMetric(this.#upstream);
  }

  of(id: string): AgentCounts {
    return this.all.get(id) ?? this.#admit(id);
  }

  #admit(id: string): AgentCounts {
    const known = id !== '' && this.#isAgent(id);
    // The two shared labels do not count against the bound.
    const label = !known ? UNKNOWN_AGENT : this.all.size < AGENTS_MAX ? id : OTHER;
    const existing = this.all.get(label);
    if (existing !== undefined) return existing;
    const counts: AgentCounts = {
      label,
      requests: new Float64Array(TRANSPORTS.length * OUTCOMES.length),
      duration: this.#duration.child({ agent: label }),
      upstream: this.#upstream.child({ agent: label }),
      bytesIn: 0,
      bytesOut: 0,
      retries: 0,
    };
    this.all.set(label, counts);
    return counts;
  }
}

function registerAgentCounters(registry: Registry, agents: Agents): void {
  const registers = [registry];
  new Counter({
    name: 'sage_requests_total',
    help: 'Requests finished, by agent, transport and outcome.',
    labelNames: ['agent', 'transport', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const { label: agent, requests } of agents.all.values()) {
        for (const [i, count] of requests.entries()) {
          if (count === 0) continue;
          const transport = TRANSPORTS[Math.floor(i / OUTCOMES.length)] as string;
          this.inc({ agent, transport, outcome: OUTCOMES[i % OUTCOMES.length] as string }, count);
        }
      }
    },
  });
  new Counter({
    name: 'sage_bytes_total',
    help: 'Body bytes, in from callers and out to them.',
    labelNames: ['agent', 'direction'],
    registers,
    collect() {
      this.reset();
      for (const { label: agent, bytesIn, bytesOut } of agents.all.values()) {
        this.inc({ agent, direction: 'in' }, bytesIn);
        this.inc({ agent, direction: 'out' }, bytesOut);
      }
    },
  });
  new Counter({
    name: 'sage_upstream_retries_total',
    help: 'Attempts after the first.',
    labelNames: ['agent'],
    registers,
    collect() {
      this.reset();
      for (const { label: agent, retries } of agents.all.values()) this.inc({ agent }, retries);
    },
  });
}

/** A counter whose values live in a map of plain numbers. */
function registerTally(
  registry: Registry,
  name: string,
  help: string,
  label: string,
  tally: ReadonlyMap<string, number>,
): void {
  new Counter({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset();
      for (const [value, count] of tally) this.inc({ [label]: value }, count);
    },
  });
}

/** A gauge of what has been started and not finished. */
function registerOpen(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      // Requests in flight when the subscription began end without having been counted.
      this.set(Math.max(0, read()));
    },
  });
}

function createRefusals(registry: Registry): (code: string) => void {
  const refusals = new Map<string, number>();
  registerTally(registry, 'sage_refusals_total', 'Requests not delivered, by code.', 'code', refusals);
  return (code) => {
    const count = refusals.get(code);
    if (count !== undefined) {
      refusals.set(code, count + 1);
      return;
    }
    const label = refusals.size < CODES_MAX && CODE.test(code) ? code : OTHER;
    refusals.set(label, (refusals.get(label) ?? 0) + 1);
  };
}

function createVerifications(registry: Registry): (record: RequestRecord) => void {
  const seconds = new FoldedHistogram({
    name: 'signature_verification_seconds',
    help: 'Time in the signature primitive alone; `unknown` when the signature was not accepted.',
    labelNames: ['algorithm'],
    buckets: VERIFICATION_SECONDS,
  });
  registry.registerMetric(seconds);
  const series = new Map<string, Buckets>(
    ALGORITHMS.map((algorithm) => [algorithm, seconds.child({ algorithm })]),
  );
  return (record) => {
    series.get(record.caller?.algorithm ?? 'unknown')?.observe(record.verifyMicroseconds / 1e6);
  };
}

/** Registers the metrics of requests and gives the two functions that feed them. */
export function createRequestCounts(registry: Registry, isAgent: (id: string) => boolean): RequestCounts {
  const agents = new Agents(registry, isAgent);
  registerAgentCounters(registry, agents);
  const refused = createRefusals(registry);
  const verified = createVerifications(registry);
  const decisions = new Map<string, number>(EFFECTS.map((effect) => [effect, 0]));
  registerTally(
    registry,
    'sage_policy_decisions_total',
    'Requests by effect of the policy.',
    'effect',
    decisions,
  );
  let inflight = 0;
  let webSockets = 0;
  registerOpen(registry, 'sage_inflight_requests', 'Requests accepted and not finished.', () => inflight);
  registerOpen(registry, 'sage_open_websockets', 'WebSockets open or opening.', () => webSockets);
  return {
    refusedByListener: refused,
    requestStarted(record) {
      if (record.transport === 'websocket') webSockets++;
      else inflight++;
    },
    requestFinished(record) {
      if (record.transport === 'websocket') webSockets--;
      else inflight--;
      const agent = agents.of(record.agentId);
      const cell = transportOf(record) * OUTCOMES.length + outcomeOf(record);
      agent.requests[cell] = (agent.requests[cell] as number) + 1;
      agent.bytesIn += record.bytesIn;
      agent.bytesOut += record.bytesOut;
      if (record.attempts > 1) agent.retries += record.attempts - 1;
      if (record.transport !== 'websocket')
        agent.duration.observe((record.finishedAt - record.startedAt) / 1000);
      if (record.respondedAt > 0) agent.upstream.observe((record.respondedAt - record.decidedAt) / 1000);
      if (record.verifyMicroseconds > 0) verified(record);
      decisions.set(record.effect, (decisions.get(record.effect) ?? 0) + 1);
      if (record.code !== '') refused(record.code);
    },
  };
}
