/** The proxy alone, in a bare Fastify hook with nothing before it. Takes the upstream's origin; prints its port. */
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import breaker from '../../src/gateway/breaker/plugin.ts';
import type { ExchangeFinished } from '../../src/gateway/proxy/exchange.ts';
import proxy from '../../src/gateway/proxy/plugin.ts';
import type { RequestRecord } from '../../src/gateway/record.ts';
import routing from '../../src/gateway/routing/plugin.ts';
import { readRoute } from '../../src/gateway/routing/route.ts';

const app = Fastify({ keepAliveTimeout: 60_000 });
await app.register(breaker, {});
await app.register(routing);
await app.register(proxy);
app.agents.replace([
  {
    id: 'open',
    upstreams: [{ url: process.argv[2] ?? '', protocol: 'http/1.1' }],
    authentication: 'none',
    allow: [],
    body: 'buffer',
    onNonceStoreDown: 'refuse',
    timeouts: { connectMs: 2_000, headersMs: 30_000, bodyIdleMs: 60_000 },
    retries: 1,
    websocketMaxMessageBytes: 1,
  },
]);

function newRecord(method: string, path: string, agentId: string): RequestRecord {
  return {
    requestId: '01890a5d-ac96-774b-bcce-b302099a8057',
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    parentSpanId: null,
    traceFlags: 1,
    receivedAtMs: 0,
    startedAt: 0,
    identifiedAt: 0,
    decidedAt: 0,
    respondedAt: 0,
    finishedAt: 0,
    transport: 'http/1.1',
    method,
    path,
    address: '127.0.0.1',
    agentId,
    caller: null,
    verifyMicroseconds: 0,
    ruleId: '',
    effect: 'none',
    policyRevision: '',
    shadowRules: [],
    instance: '',
    attempts: 0,
    status: 0,
    code: '',
    internalReason: '',
    bytesIn: 0,
    bytesOut: 0,
    aborted: false,
  };
}

const finished: ExchangeFinished = (exchange, refusal) => {
  if (refusal === null) return;
  exchange.res.statusCode = refusal.kind.status;
  exchange.res.end();
};
const isDraining = (): boolean => false;
const NO_FIELDS: readonly string[] = [];

// Synchronous, and without `done`: the reply is hijacked, so Fastify has nothing left to do.
app.addHook('onRequest', (request, reply, _done) => {
  reply.hijack();
  const req = request.raw;
  const target = readRoute(req.url ?? '');
  const agent = app.agents.get(target.agentId);
  if (agent === undefined) {
    reply.raw.writeHead(404).end();
    return;
  }
  app.deliver(
    {
      req,
      res: reply.raw,
      transport: 'http/1.1',
      agent,
      upstreamTarget: target.upstream,
      caller: null,
      record: newRecord(req.method ?? '', target.rawPath, target.agentId),
      body: null,
      proof: null,
      peerAddress: '127.0.0.1',
      peerTrusted: false,
      scheme: 'http',
      authority: req.headers.host ?? '',
      responseHeaders: NO_FIELDS,
      isDraining,
    },
    finished,
  );
});
await app.listen({ host: '127.0.0.1', port: 0 });
console.log(JSON.stringify({ port: (app.server.address() as AddressInfo).port }));
