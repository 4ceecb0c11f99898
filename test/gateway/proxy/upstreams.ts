/** Upstreams for the tests, each closed by `closeAll` after its test. */
import { type ClientRequest, createServer, get, type RequestListener } from 'node:http';
import http2 from 'node:http2';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { type Gateway, type GatewayOptions, listen, startGateway } from './gateway.ts';

const closers: (() => Promise<void> | void)[] = [];

export function closing(close: () => Promise<void> | void): void {
  closers.push(close);
}

export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

export async function httpUpstream(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  closing(() => {
    server.closeAllConnections();
    server.close();
  });
  return listen(server);
}

/** Cleartext HTTP/2 by prior knowledge. */
export async function h2cUpstream(
  onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
): Promise<string> {
  const server = http2.createServer();
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    onStream(stream as http2.ServerHttp2Stream, headers);
  });
  closing(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return listen(server);
}

/** Raw TCP: `onData` gets every chunk as text. */
export async function tcpUpstream(
  onData: (socket: Socket, text: string) => void,
  onConnect?: (socket: Socket) => void,
): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => onData(socket, chunk.toString('latin1')));
    onConnect?.(socket);
  });
  closing(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return listen(server);
}

/** `http.get` for responses that are expected to break: the test looks at the response, not at the request's error. */
export function fragileGet(url: string): ClientRequest {
  const call = get(url);
  call.on('error', () => undefined);
  closing(() => {
    call.destroy();
  });
  return call;
}

/** An origin where nobody listens. */
export async function deadUpstream(): Promise<string> {
  const server = createTcpServer();
  const url = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return url;
}

export async function gatewayTo(
  upstreams: GatewayOptions['upstreams'],
  options: Omit<GatewayOptions, 'upstreams'> = {},
): Promise<Gateway> {
  const gateway = await startGateway({ upstreams, ...options });
  closing(() => gateway.close());
  return gateway;
}

/** Sends bytes, and gives everything that came back until the other side closed or `enough` says so. */
export async function rawExchange(
  port: number,
  bytes: string,
  enough: (text: string) => boolean = () => false,
): Promise<string> {
  const { connect } = await import('node:net');
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (enough(text)) socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET') reject(error);
    });
    socket.on('close', () => resolve(text));
  });
}
