/** A Fastify server with the routing, breaker and proxy plugins and nothing else in front of them. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import Fastify, { type FastifyInstance } from 'fastify';
import type { AgentDefinition, AgentTimeouts, UpstreamDefinition } from '../../../src/agents/registry.ts';
import type { CircuitSettings } from '../../../src/gateway/breaker/circuit.ts';
import breaker from '../../../src/gateway/breaker/plugin.ts';
import type { Caller } from '../../../src/gateway/identity/caller.ts';
import { createRecord } from '../../../src/gateway/passage.ts';
import type { DigestProof, Exchange } from '../../../src/gateway/proxy/exchange.ts';
import proxy from '../../../src/gateway/proxy/plugin.ts';
import type { RequestRecord } from '../../../src/gateway/record.ts';
import { Refused } from '../../../src/gateway/refusal.ts';
import routing from '../../../src/gateway/routing/plugin.ts';
import { readRoute } from '../../../src/gateway/routing/route.ts';

export type Req = IncomingMessage | Http2ServerRequest;
export type Res = ServerResponse | Http2ServerResponse;

export interface GatewayOptions {
  readonly upstreams: readonly (string | UpstreamDefinition)[];
  readonly http2?: boolean;
  readonly timeouts?: Partial<AgentTimeouts>;
  readonly retries?: number;
  readonly circuit?: Partial<CircuitSettings>;
  readonly caller?: Caller | null;
  readonly peerTrusted?: boolean;
  readonly body?: 'buffer' | 'stream';
  readonly proof?: () => DigestProof;
  readonly responseHeaders?: readonly string[];
  readonly draining?: () => boolean;
  /** Awaited before the delivery, as identification would be. */
  readonly before?: () => Promise<void>;
}

export interface Gateway {
  readonly app: FastifyInstance;
  readonly url: string;
  readonly port: number;
  /** Records of finished exchanges, in the order they finished. */
  readonly records: RequestRecord[];
  /** Resolves with the next record that finishes after this call. */
  nextRecord(): Promise<RequestRecord>;
  close(): Promise<void>;
}

export const CALLER: Caller = {
  did: 'did:key:z6MkCaller',
  keyId: 'did:key:z6MkCaller#z6MkCaller',
  method: 'signature',
  algorithm: 'ed25519',
  profile: 'rfc9421',
  keyThumbprint: 'thumbprint',
  covered: new Set(['"@method"', '"@target-uri"', '"x-tenant"', '"x-role";bs']),
  validUntilMs: Number.POSITIVE_INFINITY,
};

export function agent(options: GatewayOptions): AgentDefinition {
  return {
    id: 'echo',
    upstreams: options.upstreams.map((entry) =>
      typeof entry === 'string' ? { url: entry, protocol: 'http/1.1' } : entry,
    ),
    authentication: 'required',
    allow: [],
    profiles: ['rfc9421'],
    body: options.body ?? 'buffer',
    onNonceStoreDown: 'refuse',
    timeouts: { connectMs: 2_000, headersMs: 5_000, bodyIdleMs: 5_000, ...options.timeouts },
    retries: options.retries ?? 1,
    websocketMaxMessageBytes: 1_048_576,
  };
}

function newRecord(
  req: Req,
  h2: boolean,
  agentId: string,
  path: string,
  caller: Caller | null,
): RequestRecord {
  const source = { requestId: 'req-1', address: '127.0.0.1', method: req.method ?? '', path };
  const transport = h2 ? 'h2' : 'http/1.1';
  const record = createRecord(
    { ...source, transport, traceparent: undefined, receivedAtMs: 0, startedAt: performance.now() },
    () => 1,
  );
  // Ids that a test can name.
  const ids = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
  return Object.assign(record, ids, { agentId, caller });
}

function refuse(res: Res, refused: Refused): void {
  const body = JSON.stringify({ status: refused.kind.status, code: refused.kind.code });
  const fields: Record<string, string> = {
    'content-type': 'application/problem+json',
    'content-length': String(body.length),
  };
  for (let i = 0; i < refused.headers.length; i += 2)
    fields[refused.headers[i] ?? ''] = refused.headers[i + 1] ?? '';
  (res as ServerResponse).writeHead(refused.kind.status, fields);
  (res as ServerResponse).end(body);
}

async function readAll(source: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function hasBody(req: Req): boolean {
  if (req.headers['content-length'] !== undefined || req.headers['transfer-encoding'] !== undefined)
    return true;
  return req.httpVersionMajor === 2 && !(req as Http2ServerRequest).stream.endAfterHeaders;
}

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const h2 = options.http2 ?? false;
  const app = (h2 ? Fastify({ http2: true }) : Fastify()) as unknown as FastifyInstance;
  await app.register(breaker, { ...options.circuit });
  await app.register(routing);
  await app.register(proxy);
  app.agents.replace([agent(options)]);

  const records: RequestRecord[] = [];
  const waiting: ((record: RequestRecord) => void)[] = [];
  const caller = options.caller === undefined ? CALLER : options.caller;
  const finish = (exchange: Exchange, refusal: Refused | null): void => {
    if (refusal !== null) {
      exchange.record.status = refusal.kind.status;
      exchange.record.code = refusal.kind.code;
      refuse(exchange.res, refusal);
    }
    records.push(exchange.record);
    for (const resolve of waiting.splice(0)) resolve(exchange.record);
  };

  app.addHook('onRequest', async (request, reply) => {
    reply.hijack();
    const req = request.raw as Req;
    const res = reply.raw as Res;
    try {
      const target = readRoute(req.url ?? '');
      const routed = app.agents.get(target.agentId);
      if (routed === undefined) throw new Error(`no agent ${target.agentId}`);
      const streamed = options.body === 'stream';
      const body = !hasBody(req) ? null : streamed ? (req as Readable) : await readAll(req as Readable);
      await options.before?.();
      app.deliver(
        {
          req,
          res,
          transport: h2 ? 'h2' : 'http/1.1',
          agent: routed,
          upstreamTarget: target.upstream,
          caller,
          record: newRecord(req, h2, target.agentId, target.rawPath, caller),
          body,
          proof: streamed && options.proof !== undefined ? options.proof() : null,
          peerAddress: '203.0.113.9',
          peerTrusted: options.peerTrusted ?? false,
          scheme: 'http',
          authority: req.headers[':authority']?.toString() ?? req.headers.host ?? '',
          responseHeaders: options.responseHeaders ?? [],
          isDraining: options.draining ?? (() => false),
        },
        finish,
      );
    } catch (error) {
      if (error instanceof Refused) refuse(res, error);
      else throw error;
    }
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return {
    app,
    url: `http://127.0.0.1:${port}`,
    port,
    records,
    nextRecord: () => new Promise((resolve) => waiting.push(resolve)),
    async close() {
      (app.server as unknown as { closeAllConnections?: () => void }).closeAllConnections?.();
      await app.close();
    },
  };
}

/** Listens on a free port of the loopback interface; gives its origin. */
export async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Polls a condition for which there is no event; fails after five seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`did not happen in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
