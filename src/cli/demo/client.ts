/**
 * A caller's side of the demo over real connections: HTTP/1.1, HTTP/2, an event stream, a slow upload and a
 * WebSocket, each trusting only the demo's own certificate.
 */
import { type ClientHttp2Session, connect } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { WebSocket } from 'ws';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly milliseconds: number;
}

export interface Call {
  readonly method: string;
  readonly url: URL;
  /** Name, value pairs. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body?: Uint8Array;
  /** Where to connect, when that is not where the URL says: a node behind a shared name. */
  readonly port?: number;
}

/** The demo's certificate is for loopback, whatever name a request is signed for. */
function place(call: Call): { host: string; port: number; servername: string } {
  return { host: '127.0.0.1', port: call.port ?? Number(call.url.port), servername: 'localhost' };
}

function fieldsOf(call: Call): Record<string, string> {
  return { host: call.url.host, ...Object.fromEntries(call.headers) };
}

/** No step of the demo waits longer for an answer. */
const ANSWER_TIMEOUT_MS = 10_000;

export function callHttp1(call: Call, ca: string): Promise<Answer> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        ...place(call),
        path: call.url.pathname + call.url.search,
        method: call.method,
        ca,
        agent: false,
        headers: fieldsOf(call),
        timeout: ANSWER_TIMEOUT_MS,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString('utf8'),
            milliseconds: performance.now() - startedAt,
          }),
        );
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', reject);
    request.end(call.body);
  });
}

function openSession(origin: string, ca: string): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(origin, { ca });
    session.once('error', reject);
    session.once('connect', () => resolve(session));
  });
}

export async function callHttp2(call: Call, ca: string): Promise<Answer> {
  const session = await openSession(call.url.origin, ca);
  const startedAt = performance.now();
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const stream = session.request(
        {
          ':method': call.method,
          ':path': call.url.pathname + call.url.search,
          ':authority': call.url.host,
          ':scheme': 'https',
          ...Object.fromEntries(call.headers),
        },
        { endStream: call.body === undefined },
      );
      const chunks: Buffer[] = [];
      let head: Record<string, string | string[] | undefined> & { ':status'?: number } = {};
      stream.setTimeout(ANSWER_TIMEOUT_MS, () => stream.destroy(new Error('no answer in time')));
      stream.on('response', (headers) => {
        head = headers as typeof head;
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('end', () =>
        resolve({
          status: head[':status'] ?? 0,
          headers: head,
          body: Buffer.concat(chunks).toString('utf8'),
          milliseconds: performance.now() - startedAt,
        }),
      );
      if (call.body !== undefined) stream.end(call.body);
    });
  } finally {
    session.destroy();
  }
}

export interface OpenStream {
  /** Events received so far, with the delay of each in milliseconds. */
  readonly delaysMs: number[];
  /** Resolves when the connection ends, cleanly or not. */
  readonly ended: Promise<void>;
  waitForEvents(count: number): Promise<void>;
  close(): void;
}

/** Opens an event stream over HTTP/1.1; each event carries the moment it was sent. */
export function openEventStream(call: Call, ca: string): Promise<OpenStream> {
  return new Promise((resolve, reject) => {
    const path = call.url.pathname + call.url.search;
    const options = { ...place(call), path, method: call.method, ca, agent: false, headers: fieldsOf(call) };
    const request = httpsRequest(options, (response) => {
      if (response.statusCode !== 200) {
        response.resume();
        reject(new Error(`the event stream answered ${response.statusCode}`));
        return;
      }
      const delaysMs: number[] = [];
      let waiting: { count: number; resolve: () => void } | null = null;
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      response.on('data', (chunk: Buffer) => {
        for (const match of chunk.toString('utf8').matchAll(/"at":(\d+)/g))
          delaysMs.push(Date.now() - Number(match[1]));
        if (waiting !== null && delaysMs.length >= waiting.count) waiting.resolve();
      });
      response.on('error', () => end());
      response.on('close', () => end());
      resolve({
        delaysMs,
        ended,
        waitForEvents: (count) =>
          delaysMs.length >= count
            ? Promise.resolve()
            : new Promise((done) => {
                waiting = { count, resolve: done };
              }),
        close: () => request.destroy(),
      });
    });
    request.on('error', reject);
    request.end();
  });
}

export interface SlowUpload {
  /** Resolves with the status answered, or 0 when the connection was cut without one. */
  readonly ended: Promise<number>;
  close(): void;
}

/** Sends the head and the first half of a body, and then nothing. */
export function openSlowUpload(call: Call & { readonly body: Uint8Array }, ca: string): Promise<SlowUpload> {
  const { promise: ended, resolve: end } = Promise.withResolvers<number>();
  return new Promise((resolve, reject) => {
    const headers = { ...fieldsOf(call), 'content-length': String(call.body.length) };
    const path = call.url.pathname + call.url.search;
    const options = { ...place(call), path, method: call.method, ca, agent: false, headers };
    const request = httpsRequest(options, (response) => {
      response.resume();
      end(response.statusCode ?? 0);
    });
    request.on('error', (error) => {
      end(0);
      reject(error);
    });
    request.on('close', () => end(0));
    request.write(call.body.subarray(0, call.body.length >> 1), () => {
      resolve({ ended, close: () => request.destroy() });
    });
  });
}

/** Opens a WebSocket with signed headers. */
export function openWebSocket(call: Call, ca: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const url = new URL(call.url);
    url.protocol = 'wss:';
    const socket = new WebSocket(url, ['echo.v1'], { ca, headers: Object.fromEntries(call.headers) });
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
  });
}
