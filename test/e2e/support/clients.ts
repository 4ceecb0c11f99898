/** The caller's side over real connections, one for each call unless said otherwise. */
import { once } from 'node:events';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { WebSocket } from 'ws';
import type { Reachable } from '../../support/gateway.ts';
import type { Call } from './callers.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** The problem document's code; empty for what is none. */
  readonly code: string;
}

export const TRANSPORTS = ['http/1.1', 'h2'] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** No answer of a test takes longer. */
const ANSWER_TIMEOUT_MS = 10_000;

function answerOf(status: number, headers: Answer['headers'], body: string): Answer {
  const problem = headers['content-type'] === 'application/problem+json';
  return { status, headers, body, code: problem ? String(JSON.parse(body || '{}').code) : '' };
}

/** Repeated fields are kept apart, so that a test can send what a browser never would. */
function fieldsOf(call: Call, gateway: Reachable): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = {
    host: call.authority ?? new URL(gateway.origin).host,
  };
  for (const [name, value] of call.headers ?? []) {
    const before = fields[name];
    fields[name] = before === undefined ? value : [before, value].flat();
  }
  return fields;
}

/** Opens a request over HTTP/1.1 and sends its head; the body is the test's business. */
export function openHttp1(gateway: Reachable, call: Call): ClientRequest {
  const { ca, port } = gateway;
  const options = {
    host: '127.0.0.1',
    port,
    path: call.target,
    method: call.method,
    agent: false,
    headers: fieldsOf(call, gateway),
    timeout: ANSWER_TIMEOUT_MS,
  };
  const request =
    ca === undefined ? httpRequest(options) : httpsRequest({ ...options, ca, servername: 'localhost' });
  request.on('timeout', () => request.destroy(new Error('no answer in time')));
  return request;
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return answerOf(response.statusCode ?? 0, response.headers, Buffer.concat(chunks).toString('utf8'));
}

/** The whole answer to a request that was opened by `openHttp1`. */
export function answerTo(request: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let answered = false;
    request.on('response', (response) => {
      answered = true;
      readAnswer(response).then(resolve, reject);
    });
    // Writing to a connection that the gateway has closed after its answer is no failure of the answer.
    request.on('error', (error) => {
      if (!answered) reject(error);
    });
  });
}

function overHttp1(gateway: Reachable, call: Call): Promise<Answer> {
  // Node's client frames the body of a DELETE only when it is told how long it is.
  const length = call.body === undefined ? [] : [['content-length', String(call.body.length)] as const];
  const request = openHttp1(gateway, { ...call, headers: [...(call.headers ?? []), ...length] });
  const answer = answerTo(request);
  request.end(call.body);
  return answer;
}

export async function openSession({ origin, ca }: Reachable): Promise<ClientHttp2Session> {
  const session = connect(origin, ca === undefined ? {} : { ca });
  session.on('error', () => session.destroy());
  await once(session, 'connect');
  return session;
}

export function openStream(session: ClientHttp2Session, gateway: Reachable, call: Call): ClientHttp2Stream {
  const { host: authority, ...fields } = fieldsOf(call, gateway);
  return session.request(
    {
      ':method': call.method,
      ':path': call.target,
      ':authority': authority as string,
      ':scheme': gateway.ca === undefined ? 'http' : 'https',
      ...fields,
    },
    { endStream: call.body === undefined },
  );
}

export function answerOnStream(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let head: Record<string, string | string[] | undefined> = {};
    const chunks: Buffer[] = [];
    stream.setTimeout(ANSWER_TIMEOUT_MS, () => stream.destroy(new Error('no answer in time')));
    stream.on('response', (headers) => {
      head = headers as typeof head;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () =>
      resolve(answerOf(Number(head[':status'] ?? 0), head, Buffer.concat(chunks).toString('utf8'))),
    );
  });
}

async function overHttp2(gateway: Reachable, call: Call): Promise<Answer> {
  const session = await openSession(gateway);
  try {
    const stream = openStream(session, gateway, call);
    const answer = answerOnStream(stream);
    if (call.body !== undefined) stream.end(call.body);
    return await answer;
  } finally {
    session.destroy();
  }
}

export function send(gateway: Reachable, call: Call, transport: Transport = 'http/1.1'): Promise<Answer> {
  return transport === 'h2' ? overHttp2(gateway, call) : overHttp1(gateway, call);
}

/** A WebSocket whose handshake has begun; its `upgrade` event has the answer. */
export function socketTo(gateway: Reachable, call: Call, subprotocols: readonly string[]): WebSocket {
  const url = new URL(call.target, gateway.origin);
  url.protocol = gateway.ca === undefined ? 'ws:' : 'wss:';
  const socket = new WebSocket(url, [...subprotocols], {
    headers: Object.fromEntries(call.headers ?? []),
    ...(gateway.ca === undefined ? {} : { ca: gateway.ca }),
  });
  socket.on('error', () => undefined);
  return socket;
}

/** An open WebSocket. @throws when the handshake is refused */
export async function openWebSocket(
  gateway: Reachable,
  call: Call,
  subprotocols: readonly string[] = [],
): Promise<WebSocket> {
  const socket = socketTo(gateway, call, subprotocols);
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  return socket;
}

/** The answer to a handshake that is refused. */
export async function refusalOfWebSocket(gateway: Reachable, call: Call): Promise<Answer> {
  const socket = socketTo(gateway, call, []);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  return readAnswer(response);
}

export async function closeOf(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return { code, reason: reason.toString() };
}

export interface EventStream {
  /** `data:` of each event, with the moment it arrived on the clock of `performance.now()`. */
  readonly events: { readonly data: string; readonly at: number }[];
  /** Resolves when it ends; true when it was cut off. */
  readonly ended: Promise<boolean>;
  close(): void;
}

/** Opens an event stream and resolves once its head is there. */
export async function openEvents(gateway: Reachable, call: Call): Promise<EventStream> {
  const request = openHttp1(gateway, call);
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  request.on('error', () => undefined);
  const events: { data: string; at: number }[] = [];
  response.setEncoding('utf8').on('data', (text: string) => {
    for (const [, data = ''] of text.matchAll(/^data: (.*)$/gm)) events.push({ data, at: performance.now() });
  });
  const ended = new Promise<boolean>((resolve) => {
    response.on('error', () => undefined);
    response.on('close', () => resolve(!response.complete));
  });
  return { events, ended, close: () => request.destroy() };
}
