/** An agent behind the gateway: a real server that remembers what reached it. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface TestAgent extends AsyncDisposable {
  readonly url: string;
  /** Requests whose head arrived, whole or not. */
  begun(): number;
  /** Requests that arrived whole. */
  readonly seen: readonly Seen[];
  /** Closes the port and every connection, as a crash does; `start` listens on the same port again. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface AgentBehaviour {
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => void;
  readonly onSocket?: (socket: WebSocket) => void;
}

function plain(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}');
}

/** Repeats every message, and chooses `echo.v1` when it is offered. */
function echo(socket: WebSocket): void {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
}

export async function startAgent(behaviour: AgentBehaviour = {}): Promise<TestAgent> {
  const { answer = plain, onSocket = echo } = behaviour;
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  let begun = 0;
  const server = createServer((request, response) => {
    begun += 1;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => undefined);
    request.on('end', () => {
      const { method = '', url = '', headers, rawHeaders } = request;
      seen.push({ method, url, headers, rawHeaders, body: Buffer.concat(chunks).toString('utf8') });
      answer(request, response);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const webSockets = new WebSocketServer({
    server,
    handleProtocols: (offered) => (offered.has('echo.v1') ? 'echo.v1' : false),
  });
  webSockets.on('connection', (socket, { method = '', url = '', headers, rawHeaders }) => {
    begun += 1;
    seen.push({ method, url, headers, rawHeaders, body: '' });
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  let port = 0;
  const start = async (): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  };
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await start();
  return {
    url: `http://127.0.0.1:${port}`,
    begun: () => begun,
    seen,
    stop,
    start,
    [Symbol.asyncDispose]: stop,
  };
}
