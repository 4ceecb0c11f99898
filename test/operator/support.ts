/** What this room's tests share: records shaped as the path makes them, and a server on a free port. */
import { channel } from 'node:diagnostics_channel';
import Fastify, { type FastifyInstance } from 'fastify';
import type { RequestRecord } from '../../src/gateway/record.ts';
import { type OperatorPorts, operatorPlugin } from '../../src/operator/plugin.ts';
import { createHealth, type Health } from '../../src/operator/telemetry/health.ts';
import { createLogger } from '../../src/operator/telemetry/logging.ts';
import { createMetrics, type MetricSources, type Metrics } from '../../src/operator/telemetry/metrics.ts';
import { telemetryPlugin } from '../../src/operator/telemetry/plugin.ts';
import type { Tracing } from '../../src/operator/telemetry/tracing.ts';
import type { DatabaseStatus } from '../../src/store/database.ts';

export const API_KEY = 'operator-key-of-at-least-32-characters';

/** A served, verified request of 12 ms; `changes` make it another. */
export function record(changes: Partial<RequestRecord> = {}): RequestRecord {
  return {
    requestId: 'req-1',
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    parentSpanId: null,
    traceFlags: 0,
    receivedAtMs: 1_760_000_000_000.5,
    startedAt: 1000,
    identifiedAt: 1001,
    decidedAt: 1002,
    respondedAt: 1010,
    finishedAt: 1012,
    transport: 'http/1.1',
    method: 'POST',
    path: '/agents/weather/report',
    address: '203.0.113.7',
    agentId: 'weather',
    caller: {
      did: 'did:key:z6MkExample',
      keyId: 'did:key:z6MkExample#z6MkExample',
      keyThumbprint: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
      method: 'signature',
      algorithm: 'ed25519',
      profile: 'rfc9421',
      covered: new Set(['"@method"']),
      validUntilMs: Number.POSITIVE_INFINITY,
    },
    verifyMicroseconds: 70,
    ruleId: 'allow-reports',
    effect: 'allow',
    policyRevision: 'sha-1',
    shadowRules: [],
    instance: 'http://127.0.0.1:9100',
    attempts: 1,
    status: 200,
    code: '',
    internalReason: '',
    bytesIn: 10,
    bytesOut: 200,
    aborted: false,
    ...changes,
  };
}

export function publish(name: string, message: unknown): void {
  channel(name).publish(message);
}

/** Publishes a request from its acceptance to its end. */
export function serve(changes: Partial<RequestRecord> = {}): void {
  const finished = record(changes);
  publish('sage:request.started', finished);
  publish('sage:request.finished', finished);
}

export interface Lines {
  readonly text: () => string;
  readonly all: () => Record<string, unknown>[];
  readonly write: (line: string) => void;
}

/** A destination for log lines that remembers them. */
export function createLines(): Lines {
  const lines: string[] = [];
  return {
    text: () => lines.join(''),
    all: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    write: (line) => {
      lines.push(line);
    },
  };
}

interface GatewayOptions {
  readonly apiKey?: string | null;
  readonly openOnLoopback?: boolean;
  readonly trustProxy?: boolean;
  readonly sources?: Partial<MetricSources>;
  readonly health?: Health;
  readonly tracing?: Tracing;
  readonly lines?: Lines;
}

export interface Gateway {
  readonly app: FastifyInstance;
  readonly origin: string;
  readonly metrics: Metrics;
  readonly health: Health;
  /** `GET path` with the operator key. */
  readonly ask: (path: string) => Promise<Response>;
}

const CIRCUITS = [
  { agentId: 'weather', instance: 'http://127.0.0.1:9100', state: 'open' as const, sinceMs: 0 },
  { agentId: 'weather', instance: 'http://127.0.0.1:9101', state: 'closed' as const, sinceMs: 0 },
];
const DEFAULTS = {
  allow: [],
  profiles: ['rfc9421' as const],
  body: 'buffer' as const,
  onNonceStoreDown: 'refuse' as const,
  timeouts: { connectMs: 1, headersMs: 1, bodyIdleMs: 1 },
  retries: 0,
  websocketMaxMessageBytes: 1,
};
const AGENTS = [
  {
    id: 'weather',
    did: 'did:web:weather.example',
    authentication: 'required' as const,
    ...DEFAULTS,
    upstreams: [{ url: 'http://user:hunter2@127.0.0.1:9100/private?key=1', protocol: 'http/1.1' as const }],
  },
];

/** Resources that these tests do not ask; test/e2e asks them of whole gateways. */
const UNASKED = {
  agents: {},
  policy: {},
  revocations: {},
  blocks: {},
  identifiers: { admitStranger: null },
  decisions: {},
  status: {},
  apiKeys: {},
  stream: { clients: { open: false, close: () => undefined }, origins: [] },
} as unknown as OperatorPorts;

/** The operators' side of a gateway on a real socket. */
const DATABASE: DatabaseStatus = {
  kind: 'postgresql',
  endpoint: 'db:5432/sage',
  connected: true,
  writable: false,
  lastError: '',
  latencyMs: 1,
  checkedAtMs: 0,
  waiting: 3,
  inUse: 2,
  size: 10,
  shed: 7,
};

export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const logger = createLogger({ level: 'info', destination: options.lines ?? createLines() });
  const metrics = createMetrics({
    isAgent: (id) => id === 'weather' || id === 'news',
    circuits: () => CIRCUITS,
    nonceTable: () => ({ used: 3, capacity: 64 }),
    redisConnected: () => true,
    database: () => DATABASE,
    ...options.sources,
  });
  const health = options.health ?? createHealth({ probes: [], now: () => Date.now(), version: '0.1.0' });
  const app = Fastify({ trustProxy: options.trustProxy ?? false });
  await app.register(telemetryPlugin, { metrics, logger, tracing: options.tracing ?? null });
  await app.register(operatorPlugin, {
    access: {
      apiKey: options.apiKey === undefined ? API_KEY : options.apiKey,
      openOnLoopback: options.openOnLoopback ?? false,
      oidc: null,
      clockSkewSeconds: 5,
      operators: () => [],
      identify: null,
      proceed: () => undefined,
    },
    document: { version: '0.1.0', origins: () => [] },
    corsOrigins: [],
    overTls: false,
    log: logger,
    ports: {
      ...UNASKED,
      agents: { ...UNASKED.agents, merged: () => ({ definitions: AGENTS, stored: [] }) },
      circuits: { list: () => CIRCUITS, reset: () => false },
    },
    health,
    metrics,
    database: null,
    addressOf: (request) => request.ip,
    now: Date.now,
  });
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  const ask = (path: string): Promise<Response> =>
    fetch(`${origin}${path}`, { headers: { authorization: `Bearer ${API_KEY}` } });
  return { app, origin, metrics, health, ask };
}

/** Samples by their line up to the value: `name{label="x"}` -> value. */
export async function scrape(gateway: Gateway): Promise<Map<string, number>> {
  const response = await gateway.ask('/metrics');
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}`);
  const samples = new Map<string, number>();
  for (const line of (await response.text()).split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    samples.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return samples;
}
