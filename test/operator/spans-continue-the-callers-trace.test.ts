import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatTraceparent, parseTraceparent } from '../../src/gateway/trace-context.ts';
import { createLogger } from '../../src/operator/telemetry/logging.ts';
import { startOtlp } from '../../src/operator/telemetry/otlp.ts';
import type { Tracing } from '../../src/operator/telemetry/tracing.ts';
import { createLines, type Gateway, record, serve, startGateway } from './support.ts';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status?: { readonly code?: number };
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[];
}
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Span['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

/** A collector: takes OTLP over HTTP in JSON and keeps what it was sent. */
let collector: Server;
let received: { path: string | undefined; body: Export; text: string }[];
let gateway: Gateway | null;
let tracing: Tracing;

beforeEach(async () => {
  received = [];
  collector = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => {
      received.push({ path: request.url, body: JSON.parse(text) as Export, text });
      response.setHeader('content-type', 'application/json');
      response.end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as AddressInfo;
  tracing = startOtlp({
    endpoint: `http://127.0.0.1:${port}/`,
    serviceName: 'sage-test',
    version: '0.1.0',
    scheme: 'https',
    logger: createLogger({ level: 'silent', destination: createLines() }),
  });
  gateway = await startGateway({ tracing });
});
afterEach(async () => {
  await gateway?.app.close();
  collector.closeAllConnections();
  collector.close();
});

const SAMPLED = { traceFlags: 1, parentSpanId: '00f067aa0ba902b7', receivedAtMs: 1_760_000_000_000.25 };

/** Closing the server sends what is queued. */
async function collect(): Promise<Span[]> {
  await gateway?.app.close();
  gateway = null;
  return received.flatMap(({ body }) =>
    body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
  );
}

const attribute = (span: Span | undefined, key: string): unknown =>
  Object.values(span?.attributes.find((entry) => entry.key === key)?.value ?? {})[0];
const named = (spans: Span[], name: string): Span | undefined => spans.find((span) => span.name === name);

test("the server span is the caller's child and the upstream's parent", async () => {
  serve(SAMPLED);
  const spans = await collect();
  expect(spans.map(({ name }) => name).sort()).toEqual([
    'POST /agents/:id/*',
    'decide',
    'deliver',
    'identify',
  ]);
  const server = named(spans, 'POST /agents/:id/*');
  const sent = record(SAMPLED);
  // What the path has put into the upstream's traceparent names this very span.
  const upstream = parseTraceparent(formatTraceparent(sent.traceId, sent.spanId, 1));
  expect(server).toMatchObject({
    traceId: upstream?.traceId,
    spanId: upstream?.parentSpanId,
    parentSpanId: SAMPLED.parentSpanId,
    kind: 2,
    startTimeUnixNano: '1760000000000250000',
    endTimeUnixNano: '1760000000012250000',
  });
  for (const name of ['identify', 'decide', 'deliver']) {
    expect(named(spans, name)).toMatchObject({ traceId: sent.traceId, parentSpanId: sent.spanId });
  }
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(4);
  expect(named(spans, 'deliver')).toMatchObject({
    kind: 3,
    startTimeUnixNano: '1760000000002250000',
    endTimeUnixNano: '1760000000012250000',
  });
  expect(received[0]?.path).toBe('/v1/traces');
});

test('a request without a traceparent begins a trace under its own ids', async () => {
  serve({ traceFlags: 1, traceId: '1'.repeat(32), spanId: '2'.repeat(16) });
  serve({ traceFlags: 1, traceId: '3'.repeat(32), spanId: '4'.repeat(16) });
  const roots = (await collect()).filter((span) => (span.parentSpanId ?? '') === '');
  expect(roots.map(({ traceId, spanId }) => [traceId, spanId])).toEqual([
    ['1'.repeat(32), '2'.repeat(16)],
    ['3'.repeat(32), '4'.repeat(16)],
  ]);
});

test('what is not sampled is not sent', async () => {
  serve({ traceFlags: 0 });
  serve({ traceFlags: 2 });
  expect(await collect()).toEqual([]);
});

test('attributes follow the conventions and tell who, what and why', async () => {
  serve({ ...SAMPLED, transport: 'h2', method: 'BREW', status: 502, code: 'upstream_failed' });
  const spans = await collect();
  const server = named(spans, 'HTTP /agents/:id/*');
  const expected: Record<string, unknown> = {
    'http.request.method': '_OTHER',
    'http.request.method_original': 'BREW',
    'http.route': '/agents/:id/*',
    'url.path': '/agents/weather/report',
    'url.scheme': 'https',
    'network.protocol.version': '2',
    'client.address': '203.0.113.7',
    'http.response.status_code': 502,
    'error.type': 'upstream_failed',
    'sage.agent.id': 'weather',
    'sage.caller.did': 'did:key:z6MkExample',
    'sage.policy.rule': 'allow-reports',
    'sage.refusal.code': 'upstream_failed',
  };
  for (const [key, value] of Object.entries(expected)) expect(attribute(server, key), key).toBe(value);
  expect(server?.status?.code).toBe(2);
  const resource = received[0]?.body.resourceSpans[0]?.resource.attributes ?? [];
  expect(resource).toContainEqual({ key: 'service.name', value: { stringValue: 'sage-test' } });
});

test('a refused request ends in the step that refused it', async () => {
  serve({ ...SAMPLED, identifiedAt: 0, decidedAt: 0, respondedAt: 0, status: 401, code: 'nonce_replayed' });
  serve({
    ...SAMPLED,
    spanId: 'a'.repeat(16),
    effect: 'deny',
    respondedAt: 0,
    status: 403,
    code: 'policy_denied',
  });
  const spans = await collect();
  const childrenOf = (spanId: string): string[] =>
    spans.filter((span) => span.parentSpanId === spanId).map(({ name }) => name);
  expect(childrenOf(record().spanId)).toEqual(['identify']);
  expect(childrenOf('a'.repeat(16))).toEqual(['identify', 'decide']);
  // What the caller did wrong is not the server's error.
  expect(named(spans, 'POST /agents/:id/*')?.status?.code ?? 0).toBe(0);
});

test('a collector that never answers neither grows memory nor holds up the close', async () => {
  const lines = createLines();
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const stuck = startOtlp({
    endpoint: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
    serviceName: 'sage-test',
    version: '0.1.0',
    scheme: 'http',
    logger: createLogger({ level: 'warn', destination: lines }),
  });
  for (let i = 0; i < 5000; i++) stuck.finished(record(SAMPLED));
  const begun = performance.now();
  await stuck.close();
  expect(performance.now() - begun).toBeLessThan(4000);
  expect(lines.text()).toMatch(/[Dd]ropped \d+ spans|lost at shutdown/);
  silent.closeAllConnections();
  silent.close();
});
