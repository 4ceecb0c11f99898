/** A client of the stream of events, over a real connection. */
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { type Reachable, until } from '../../support/gateway.ts';
import { type Json, OPERATOR_KEY } from './operator.ts';

export interface StreamEvent {
  readonly id?: string;
  readonly at: string;
  readonly type: string;
  readonly node?: string;
  readonly data: Json;
}

export interface StreamOptions {
  readonly query?: string;
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocols?: readonly string[];
  /** Of the protocol. */
  readonly version?: number;
}

export interface StreamClient extends Disposable {
  readonly socket: WebSocket;
  readonly events: readonly StreamEvent[];
  /** What came of the handshake: 101, or what it was refused with. */
  readonly opened: Promise<{
    readonly status: number;
    readonly headers: IncomingMessage['headers'];
    readonly body: Json;
  }>;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** The first event that fits, once it has come. */
  event(fits: (event: StreamEvent) => boolean, what: string): Promise<StreamEvent>;
}

export function openStream(
  { port, ca }: Pick<Reachable, 'port' | 'ca'>,
  options: StreamOptions = {},
): StreamClient {
  const { query = '', key = OPERATOR_KEY, headers = {}, protocols = [], version = 13 } = options;
  const socket = new WebSocket(
    `${ca === undefined ? 'ws' : 'wss'}://127.0.0.1:${port}/v1/stream${query}`,
    [...protocols],
    {
      headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...headers },
      perMessageDeflate: false,
      protocolVersion: version,
      ...(ca === undefined ? {} : { ca, servername: 'localhost' }),
    },
  );
  const events: StreamEvent[] = [];
  socket.on('message', (data: Buffer) => events.push(JSON.parse(data.toString('utf8'))));
  socket.on('error', () => undefined);
  const opened: StreamClient['opened'] = new Promise((resolve, reject) => {
    socket.on('upgrade', ({ headers: fields }) => resolve({ status: 101, headers: fields, body: null }));
    socket.on('unexpected-response', (request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        request.destroy();
      });
    });
    socket.on('close', () => reject(new Error('closed before it was answered')));
  });
  opened.catch(() => undefined);
  const closed: StreamClient['closed'] = new Promise((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString('utf8') }));
  });
  return {
    socket,
    events,
    opened,
    closed,
    event: (fits, what) => until(() => events.find(fits), what),
    [Symbol.dispose]: () => socket.terminate(),
  };
}
