/**
 * Prometheus metrics, made from the record of each request and from what the other rooms publish.
 *
 * Labels are bounded: agents come from `sage.yaml`, codes and outcomes from this code base, and each set has a
 * ceiling besides. Never a DID, a path or an address. On the path nothing but plain numbers is touched
 * (`histogram.ts`, `request-counts.ts`); prom-client sees them when it is scraped.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { CircuitView } from '../../gateway/breaker/circuit.ts';
import type { RequestRecord } from '../../gateway/record.ts';
import type { PolicyReloaded } from '../../policy/events.ts';
import type { DatabaseStatus } from '../../store/database.ts';
import type { StoreCall } from '../../store/watched-driver.ts';
import type { DidReadAheadEvent, DidResolutionEvent } from '../../trust/did/events.ts';
import type { ChainHead } from '../../trust/key-source.ts';
import { recoveriesUnderWay } from '../../trust/keys/recovery.ts';
import { pooledVerifications } from '../../trust/keys/thread-pool.ts';
import { createStreamMetrics, type StreamMetrics } from '../stream/stream-metrics.ts';
import { createDatabaseMetrics } from './database-metrics.ts';
import { createDecisionMetrics, type DecisionMetrics } from './decision-metrics.ts';
import { createFetchMetrics, type FetchMetrics } from './fetch-metrics.ts';
import { FoldedHistogram } from './histogram.ts';
import { createRequestCounts, OTHER, type RequestCounts } from './request-counts.ts';

/** What is asked at scrape time, since its owner knows it best; null when this process has no such part. */
export interface MetricSources {
  /** True for the agents of the configuration in force. */
  readonly isAgent: (id: string) => boolean;
  readonly circuits: () => readonly CircuitView[];
  readonly nonceTable: () => { readonly used: number; readonly capacity: number } | null;
  readonly redisConnected: () => boolean | null;
  readonly database: () => DatabaseStatus | null;
}

export interface Metrics extends DecisionMetrics, FetchMetrics, StreamMetrics {
  readonly contentType: string;
  /** The registry in Prometheus' text format 0.0.4. */
  readonly text: () => Promise<string>;
  /** For adding up worker threads: `AggregatorRegistry.aggregate` reads what this registry gives as JSON. */
  readonly registry: Registry;
  /** A request that the listener or an operators' route refused by itself, for which there is no record. */
  readonly refusedByListener: (code: string) => void;
  readonly requestStarted: (record: RequestRecord) => void;
  readonly requestFinished: (record: RequestRecord) => void;
  readonly didResolved: (event: DidResolutionEvent) => void;
  readonly didPurged: () => void;
  readonly didReadAhead: (event: DidReadAheadEvent) => void;
  readonly circuitChanged: (event: CircuitView) => void;
  readonly policyReloaded: (event: PolicyReloaded) => void;
  readonly policyRefused: () => void;
  readonly chainHead: (event: ChainHead) => void;
  readonly rpcDisagreed: (event: Pick<ChainHead, 'chainId'>) => void;
  readonly storeCalled: (event: StoreCall) => void;
  /** A subscriber threw; `subscriber` is a channel's name. */
  readonly subscriberFailed: (subscriber: string) => void;
  readonly requestLineSuppressed: () => void;
}

/** Circuits shown; more instances than this belong on several gateways. */
const CIRCUITS_MAX = 2000;
/** Chains watched by one process. */
const CHAINS_MAX = 32;
const RESOLUTION_OUTCOMES_MAX = 32;

/** From a memory hit (under a microsecond) to a chain that is about to be given up. */
const RESOLUTION_SECONDS = [
  0.000_001, 0.000_01, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
const CIRCUIT_STATES: Readonly<Record<CircuitView['state'], number>> = {
  closed: 0,
  'half-open': 1,
  open: 2,
};

/** The process has one heap, one event loop and one collector of garbage, however many gateways it holds. */
let processRegistry: Registry | null = null;

function processMetrics(): Registry {
  if (processRegistry === null) {
    processRegistry = new Registry();
    collectDefaultMetrics({ register: processRegistry });
  }
  return processRegistry;
}

type ResolutionMetrics = Pick<Metrics, 'didResolved' | 'didPurged' | 'didReadAhead'>;

function aheadCounter(registers: Registry[]): Counter<'reason' | 'outcome'> {
  return new Counter({
    name: 'did_read_ahead_total',
    help: 'Documents read before anybody waited for them.',
    labelNames: ['reason', 'outcome'],
    registers,
  });
}

/** Offline methods are computed, not cached, so they count neither as hit nor as miss. */
function createResolutionMetrics(registry: Registry): ResolutionMetrics {
  const tiers = ['memory', 'redis', 'chain', 'web', 'offline'] as const;
  const seconds = new FoldedHistogram({
    name: 'did_resolution_seconds',
    help: 'Time to a key, by the tier that answered; memory is not timed and counts as 0.',
    labelNames: ['tier'],
    buckets: RESOLUTION_SECONDS,
  });
  registry.registerMetric(seconds);
  const series = new Map(tiers.map((tier) => [tier, seconds.child({ tier })]));
  const registers = [registry];
  const outcomes = new Map<string, number>();
  let memory = 0;
  let redis = 0;
  let misses = 0;
  new Counter({
    name: 'did_resolutions_total',
    help: 'Resolutions by outcome.',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of outcomes) this.inc({ outcome }, count);
    },
  });
  new Counter({
    name: 'did_cache_hits_total',
    help: 'Resolutions answered by a cache tier.',
    labelNames: ['tier'],
    registers,
    collect() {
      this.reset();
      this.inc({ tier: 'memory' }, memory);
      this.inc({ tier: 'redis' }, redis);
    },
  });
  new Counter({
    name: 'did_cache_misses_total',
    help: 'Resolutions that had to ask the chain, or the host of a document.',
    registers,
    collect() {
      this.reset();
      this.inc(misses);
    },
  });
  new Gauge({
    name: 'did_cache_hit_ratio',
    help: 'Hits over hits and misses since the process started; 0 before the first.',
    aggregator: 'average',
    registers,
    collect() {
      const asked = memory + redis + misses;
      this.set(asked === 0 ? 0 : (memory + redis) / asked);
    },
  });
  const purges = new Counter({ name: 'did_cache_purges_total', help: 'Entries purged.', registers });
  const ahead = aheadCounter(registers);
  return {
    didResolved({ tier, ms, outcome }) {
      series.get(tier)?.observe(ms / 1000);
      // A negative answer from memory is a hit; `redis` on a failure only means that it was asked last.
      if (tier === 'memory') memory++;
      else if (tier === 'redis' && outcome === 'found') redis++;
      else if (tier !== 'offline') misses++;
      const known = outcomes.has(outcome) || outcomes.size < RESOLUTION_OUTCOMES_MAX ? outcome : OTHER;
      outcomes.set(known, (outcomes.get(known) ?? 0) + 1);
    },
    didPurged() {
      purges.inc();
    },
    didReadAhead({ reason, outcome }) {
      ahead.inc({ reason, outcome });
    },
  };
}

type PolicyMetrics = Pick<Metrics, 'policyReloaded' | 'policyRefused'>;

function createPolicyMetrics(registry: Registry): PolicyMetrics {
  const registers = [registry];
  const info = new Gauge({
    name: 'sage_policy_info',
    help: 'Always 1; the revision in force is its label.',
    labelNames: ['revision'],
    aggregator: 'max',
    registers,
  });
  const rules = new Gauge({
    name: 'sage_policy_rules',
    help: 'Rules in force.',
    aggregator: 'max',
    registers,
  });
  const reloads = new Counter({
    name: 'sage_policy_reloads_total',
    help: 'Policies read: applied, or refused and the one before kept.',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of ['applied', 'refused']) reloads.inc({ outcome }, 0);
  return {
    policyReloaded(event) {
      // One revision is in force, so one series is shown.
      info.reset();
      info.set({ revision: event.revision }, 1);
      rules.set(event.rules);
      reloads.inc({ outcome: 'applied' });
    },
    policyRefused() {
      reloads.inc({ outcome: 'refused' });
    },
  };
}

type PartMetrics = Pick<Metrics, 'chainHead' | 'rpcDisagreed' | 'circuitChanged'>;

function disagreementCounter(registers: Registry[]): Counter<'chain'> {
  return new Counter({
    name: 'sage_rpc_disagreements_total',
    help: 'Answers of RPC nodes that no other node gave.',
    labelNames: ['chain'],
    registers,
  });
}

/** By chain, the last that was said of each. */
function createChainGauges(registers: Registry[]): Map<string, ChainHead> {
  const heads = new Map<string, ChainHead>();
  const chainGauge = (name: string, help: string, read: (head: ChainHead) => number | null): void => {
    new Gauge({
      name,
      help,
      labelNames: ['chain'],
      aggregator: 'max',
      registers,
      collect() {
        this.reset();
        for (const [chain, head] of heads) {
          const value = read(head);
          if (value !== null) this.set({ chain }, value);
        }
      },
    });
  };
  chainGauge('sage_chain_head', 'Latest block seen.', ({ head }) => (head === null ? null : Number(head)));
  chainGauge('sage_chain_head_lag_blocks', 'Blocks behind the head.', ({ lagBlocks }) => lagBlocks);
  // A node that is away or lags announces nothing, so blocks alone would not tell.
  chainGauge('sage_chain_head_age_seconds', 'Since it was known to be the head.', ({ ageMs }) =>
    ageMs === null ? null : ageMs / 1000,
  );
  chainGauge('sage_chain_connected', '1 while an RPC endpoint answers.', ({ connected }) =>
    Number(connected),
  );
  return heads;
}

/** Chain, circuits, nonces and Redis: parts whose present state is what matters. */
function createPartMetrics(registry: Registry, sources: MetricSources): PartMetrics {
  const registers = [registry];
  const heads = createChainGauges(registers);
  const disagreements = disagreementCounter(registers);
  const disagreed = new Set<string>();

  new Gauge({
    name: 'sage_circuit_state',
    help: '0 closed, 1 half-open, 2 open.',
    labelNames: ['agent', 'instance'],
    aggregator: 'max',
    registers,
    collect() {
      this.reset();
      for (const { agentId: agent, instance, state } of sources.circuits().slice(0, CIRCUITS_MAX)) {
        this.set({ agent, instance }, CIRCUIT_STATES[state]);
      }
    },
  });
  const transitions = new Counter({
    name: 'sage_circuit_transitions_total',
    help: 'Circuits that changed, by the state they entered.',
    labelNames: ['state'],
    registers,
  });
  for (const state of Object.keys(CIRCUIT_STATES)) transitions.inc({ state }, 0);

  const absent = (name: string, help: string, read: () => number | null): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const value = read();
        if (value === null) this.remove();
        else this.set(value);
      },
    });
  };
  absent('sage_slow_verifications', 'Signatures under way on threads.', pooledVerifications);
  absent('sage_key_recoveries', 'Keys of accounts being recovered on a thread.', recoveriesUnderWay);
  absent('sage_nonce_table_entries', 'Nonces remembered.', () => sources.nonceTable()?.used ?? null);
  absent('sage_nonce_table_capacity', 'Nonces that fit; full means 503.', () => {
    return sources.nonceTable()?.capacity ?? null;
  });
  absent('sage_redis_connected', '1 while Redis answers; absent when none is configured.', () => {
    const connected = sources.redisConnected();
    return connected === null ? null : Number(connected);
  });
  return {
    chainHead(event) {
      const chain = String(event.chainId);
      if (!heads.has(chain)) {
        if (heads.size >= CHAINS_MAX) return;
        // So that the first disagreement is an increase.
        disagreements.inc({ chain }, 0);
        disagreed.add(chain);
      }
      heads.set(chain, event);
    },
    rpcDisagreed({ chainId }) {
      const chain = String(chainId);
      if (!disagreed.has(chain) && disagreed.size >= CHAINS_MAX) return;
      disagreed.add(chain);
      disagreements.inc({ chain });
    },
    circuitChanged({ state }) {
      if (state in CIRCUIT_STATES) transitions.inc({ state });
    },
  };
}

/** One registry for one gateway. Make it before the first policy is loaded, or its revision is not seen. */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  for (const metric of processMetrics().getMetricsAsArray()) {
    registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
  }
  const requests: RequestCounts = createRequestCounts(registry, sources.isAgent);
  const failures = new Counter({
    name: 'sage_telemetry_subscriber_errors_total',
    help: 'Exceptions kept from the path.',
    labelNames: ['subscriber'],
    registers: [registry],
  });
  const suppressed = new Counter({
    name: 'sage_request_log_suppressed_total',
    help: 'Request lines left out of the log because of its bound.',
    registers: [registry],
  });
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    registry,
    ...requests,
    ...createResolutionMetrics(registry),
    ...createPolicyMetrics(registry),
    ...createPartMetrics(registry, sources),
    ...createDatabaseMetrics(registry, sources.database),
    ...createDecisionMetrics(registry),
    ...createFetchMetrics(registry),
    ...createStreamMetrics(registry),
    subscriberFailed: (subscriber) => failures.inc({ subscriber }),
    requestLineSuppressed: () => suppressed.inc(),
  };
}
