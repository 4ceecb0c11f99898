/** The proxy alone, in a bare Fastify hook with nothing before it. Takes the upstream's origin; prints its port. */
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import breaker from '../../src/gateway/breaker/plugin.ts';
import { createRecord } from '../../src/gateway/passage.ts';
import type { ExchangeFinished } from '../../src/gateway/proxy/exchange.ts';
import proxy from '../../src/gateway/proxy/plugin.ts';
import type { RequestRecord } from '../../src/gateway/record.ts';
import routing from '../../src/gateway/routing/plugin.ts';
import { readRoute } from '../../src/gateway/routing/route.ts';
import { createRandom32 } from '../../src/gateway/trace-context.ts';

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
    profiles: [],
    body: 'buffer',
    onNonceStoreDown: 'refuse',
    timeouts: { connectMs: 2_000, headersMs: 30_000, bodyIdleMs: 60_000 },
    retries: 1,
    websocketMaxMessageBytes: 1,
  },
]);

const random = createRandom32(new Uint32Array([1, 2, 3, 4]));

function newRecord(method: string, path: string, agentId: string): RequestRecord {
  const source = { requestId: '01890a5d-ac96-774b-bcce-b302099a8057', address: '127.0.0.1', method, path };
  const record = createRecord(
    { ...source, transport: 'http/1.1', traceparent: undefined, receivedAtMs: 0, startedAt: 0 },
    random,
  );
  record.agentId = agentId;
  return record;
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
