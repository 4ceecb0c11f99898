import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import { WebSocket, WebSocketServer } from 'ws';
import {
  type Relay,
  type RelayOptions,
  type RelayReport,
  relay,
} from '../../../src/gateway/proxy/websocket.ts';
import {
  holdUpstream,
  readHandshake,
  takeUpstream,
  websocketServerOptions,
} from '../../../src/gateway/proxy/websocket-server.ts';
import { openUpstreamSocket } from '../../../src/gateway/proxy/websocket-upstream.ts';
import { Refused } from '../../../src/gateway/refusal.ts';
import { startListener } from '../listener/support.ts';

export const MAX_PAYLOAD = 65_536;

export interface Agent {
  readonly port: number;
  readonly server: WebSocketServer;
  readonly requests: IncomingMessage[];
  close(): Promise<void>;
}

/** A real WebSocket server; what does not upgrade, or what `refuse` answers, is answered by it. */
export async function startAgent(
  onSocket: (socket: WebSocket, req: IncomingMessage) => void,
  options: { subprotocol?: string | false; refuse?: RequestListener } = {},
): Promise<Agent> {
  const requests: IncomingMessage[] = [];
  const { refuse } = options;
  const http = createHttp(refuse === undefined ? {} : { shouldUpgradeCallback: () => false }, refuse);
  const server = new WebSocketServer({
    server: http,
    perMessageDeflate: true,
    ...(options.subprotocol === undefined ? {} : { handleProtocols: () => options.subprotocol ?? false }),
  });
  server.on('connection', (socket, req) => {
    requests.push(req);
    socket.on('error', () => undefined);
    onSocket(socket, req);
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return {
    port: (http.address() as AddressInfo).port,
    server,
    requests,
    close: async () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
}

export interface Gateway {
  readonly app: FastifyInstance;
  readonly port: number;
  readonly relays: Relay[];
  /** The next report, or one that has come already. */
  report(): Promise<RelayReport>;
}

/** The listener, the WebSocket plugin and one route, put together as the path does it. */
export async function startGateway(
  agentPort: number,
  options: Partial<RelayOptions> & { handshakeTimeoutMs?: number } = {},
): Promise<Gateway> {
  const relays: Relay[] = [];
  const reports: RelayReport[] = [];
  const waiting: ((report: RelayReport) => void)[] = [];
  const { handshakeTimeoutMs = 2_000, ...relayOptions } = options;
  const { app, port } = await startListener(async (instance) => {
    await instance.register(fastifyWebsocket, websocketServerOptions(MAX_PAYLOAD));
    instance.get(
      '/*',
      {
        websocket: true,
        onRequest: async (req, reply) => {
          if (!req.ws) return;
          const gone = new AbortController();
          const abort = (): void => gone.abort();
          req.raw.socket.once('close', abort);
          try {
            const subprotocols = readHandshake(req.raw);
            const upstream = await openUpstreamSocket({
              url: `ws://127.0.0.1:${agentPort}${req.raw.url}`,
              headers: req.raw.rawHeaders,
              subprotocols,
              handshakeTimeoutMs,
              maxPayloadBytes: MAX_PAYLOAD,
              signal: gone.signal,
            });
            holdUpstream(req.raw, upstream);
          } catch (error) {
            if (!(error instanceof Refused)) throw error;
            reply.hijack();
            instance.refuse(reply.raw, error, req.id);
          }
        },
      },
      (client, req) => {
        const upstream = takeUpstream(req.raw);
        if (upstream === null) {
          client.close(1011);
          return;
        }
        relays.push(
          relay({
            client,
            upstream: upstream.socket,
            maxBufferedBytes: 262_144,
            maxMessageBytes: MAX_PAYLOAD,
            pingIntervalMs: 30_000,
            idleTimeoutMs: 0,
            ...relayOptions,
            onClose: (report) => {
              const next = waiting.shift();
              if (next === undefined) reports.push(report);
              else next(report);
            },
          }),
        );
      },
    );
  });
  return {
    app,
    port,
    relays,
    report: () => {
      const report = reports.shift();
      return report === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(report);
    },
  };
}

export async function openClient(port: number, path = '/', subprotocols: string[] = []): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, subprotocols, { perMessageDeflate: true });
  await once(socket, 'open');
  socket.on('error', () => undefined);
  return socket;
}

export async function closeOf(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return { code, reason: reason.toString() };
}

/** The answer to a handshake that is refused. */
export async function refusalOf(
  port: number,
  path = '/',
): Promise<{ status: number; headers: IncomingMessage['headers']; problem: Record<string, unknown> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  socket.on('error', () => undefined);
  const [, res] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  let body = '';
  for await (const chunk of res) body += String(chunk);
  return {
    status: res.statusCode ?? 0,
    headers: res.headers,
    problem: JSON.parse(body) as Record<string, unknown>,
  };
}
