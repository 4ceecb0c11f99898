import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { listenerPlugin } from '../../../src/gateway/listener/plugin.ts';
import { createServer, type ServerOptions } from '../../../src/gateway/listener/server.ts';

export const MAX_HEADER_BYTES = 32_768;

export interface Running {
  readonly app: FastifyInstance;
  readonly port: number;
  readonly refused: string[];
}

/** A listener on a free port with the routes a test needs. */
export async function startListener(
  routes: (app: FastifyInstance) => void | Promise<void>,
  options: Partial<ServerOptions> & { bodyTimeoutMs?: number } = {},
): Promise<Running> {
  const refused: string[] = [];
  const { bodyTimeoutMs = 5_000, ...server } = options;
  const app = createServer({
    loggerInstance: pino({ level: 'silent' }),
    explainRefusals: false,
    maxHeaderBytes: MAX_HEADER_BYTES,
    headersTimeoutMs: 5_000,
    keepAliveTimeoutMs: 5_000,
    maxConnections: 1_000,
    onRefused: (code) => refused.push(code),
    ...server,
  });
  await app.register(listenerPlugin, { explainRefusals: server.explainRefusals ?? false, bodyTimeoutMs });
  await routes(app);
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { app, port: (app.server.address() as AddressInfo).port, refused };
}

export interface RawAnswer {
  readonly text: string;
  readonly status: number;
  /** The problem document, or an empty object when the body is no JSON. */
  readonly problem: Record<string, unknown>;
  readonly heads: number;
}

/** What came back on a socket. `heads` counts answers, so that a request smuggled behind another one shows. */
export function parseAnswer(text: string): RawAnswer {
  const body = text.slice(text.indexOf('\r\n\r\n') + 4);
  let problem: Record<string, unknown> = {};
  if (body.startsWith('{')) problem = JSON.parse(body.slice(0, body.lastIndexOf('}') + 1)) as typeof problem;
  return {
    text,
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0),
    problem,
    heads: text.match(/HTTP\/1\.1 \d{3} /g)?.length ?? 0,
  };
}

export async function openSocket(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Writes bytes as they are and reads until the server closes. */
export async function sendRaw(port: number, text: string): Promise<RawAnswer> {
  const socket = await openSocket(port);
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
  });
  socket.write(Buffer.from(text, 'latin1'));
  await once(socket, 'close');
  return parseAnswer(answer);
}

export interface Http2Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
  readonly rst: number;
}

export async function openSession(origin: string, ca?: string): Promise<ClientHttp2Session> {
  const session = connectHttp2(origin, ca === undefined ? {} : { ca });
  session.on('error', () => session.destroy());
  await once(session, 'connect');
  return session;
}

export async function requestHttp2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string,
): Promise<Http2Answer> {
  const stream = session.request({ ':path': '/', ...headers }, { endStream: body === undefined });
  stream.setEncoding('utf8');
  let text = '';
  let received: Record<string, unknown> = {};
  stream.on('data', (chunk: string) => {
    text += chunk;
  });
  stream.on('response', (head) => {
    received = head;
  });
  const closed = new Promise<void>((resolve) => {
    stream.on('error', () => resolve());
    stream.on('close', () => resolve());
  });
  if (body !== undefined) stream.end(body);
  await closed;
  return { status: Number(received[':status'] ?? 0), headers: received, body: text, rst: stream.rstCode };
}
