/**
 * Two agents to stand behind the gateway: `weather` (HTTP, server-sent events, uploads) and `echo` (WebSocket).
 * They show what an agent sees: the identity headers the gateway sets, and the bytes as they were signed.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocketServer } from 'ws';

export interface SampleAgent {
  readonly port: number;
  /** How many requests reached this agent: what the gateway refuses must never raise it. */
  served(): number;
  /** Closes the port and every connection, as a crash does. */
  stop(): Promise<void>;
  /** Listens again on the same port. */
  start(): Promise<void>;
}

/** Server-sent events come this far apart, so that a reader can see that nothing holds them back. */
export const EVENT_INTERVAL_MS = 100;

function weather(request: IncomingMessage, response: ServerResponse): void {
  const did = request.headers['x-sage-verified-did'] ?? 'nobody';
  if (request.url?.startsWith('/events') === true) {
    streamEvents(request, response);
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = JSON.stringify({
      forecast: 'clear',
      asked_by: did,
      received_bytes: Buffer.concat(chunks).length,
    });
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
}

function streamEvents(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  let count = 0;
  const send = (): void => {
    count += 1;
    response.write(`id: ${count}\ndata: {"at":${Date.now()}}\n\n`);
  };
  send();
  const timer = setInterval(send, EVENT_INTERVAL_MS);
  response.on('close', () => clearInterval(timer));
}

/** Starts an agent on a free loopback port. */
async function startAgent(makeServer: () => Server): Promise<SampleAgent> {
  const sockets = new Set<Socket>();
  let served = 0;
  let port = 0;
  let server: Server | null = null;
  const agent: SampleAgent = {
    get port() {
      return port;
    },
    served: () => served,
    async start() {
      server = makeServer();
      server.on('connection', (socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
      });
      server.on('request', () => {
        served += 1;
      });
      server.on('upgrade', () => {
        served += 1;
      });
      await new Promise<void>((resolve, reject) => {
        server?.once('error', reject);
        server?.listen(port, '127.0.0.1', resolve);
      });
      port = (server.address() as AddressInfo).port;
    },
    async stop() {
      const stopping = server;
      server = null;
      if (stopping === null) return;
      const closed = new Promise<void>((resolve) => stopping.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  await agent.start();
  return agent;
}

export function startWeatherAgent(): Promise<SampleAgent> {
  return startAgent(() => createServer(weather));
}

/** A WebSocket agent that repeats every message; it chooses the subprotocol `echo.v1` when it is offered. */
export function startEchoAgent(): Promise<SampleAgent> {
  return startAgent(() => {
    const server = createServer((_request, response) => response.writeHead(426).end());
    const sockets = new WebSocketServer({
      server,
      handleProtocols: (offered) => (offered.has('echo.v1') ? 'echo.v1' : false),
    });
    sockets.on('connection', (socket) => {
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
    return server;
  });
}
