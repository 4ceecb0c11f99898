/**
 * Refusals on the wire: `application/problem+json` (RFC 9457), the same members over HTTP/1.1, HTTP/2 and on a socket
 * whose request could not even be parsed.
 */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import { constants, type Http2ServerResponse } from 'node:http2';
import type { RefusalKind, Refused } from '../refusal.ts';
import { isHttp2, type RawRequest, type RawResponse } from './target.ts';

const PROBLEM_TYPE = 'application/problem+json';
/**
 * How long, and for how many bytes, the rest of a refused body is read before the connection is cut. Closing at once
 * resets the connection, and a reset destroys the answer in the caller's receive buffer (RFC 9112 9.6).
 */
const LINGER_MS = 1_000;
const LINGER_BYTES = 1_048_576;

type Shown = Pick<Refused, 'explanation' | 'evidence'>;

/** The body of an answer. `shown` is given only where EXPLAIN_REFUSALS allows it. */
export function problemBody(kind: RefusalKind, requestId: string, shown: Shown | null): string {
  const members: Record<string, string | number | boolean> = {};
  // First, so that no evidence can take the place of a member that clients act on.
  if (shown?.evidence !== undefined) Object.assign(members, shown.evidence);
  if (shown?.explanation !== undefined) members.explanation = shown.explanation;
  members.type = `urn:sage:problem:${kind.code}`;
  members.title = kind.title;
  members.status = kind.status;
  members.code = kind.code;
  members.detail = kind.detail;
  members.request_id = requestId;
  members.retryable = kind.retryable;
  return JSON.stringify(members);
}

/** The fields of an answer, flat. A refusal is about one request at one moment, so nobody may store it. */
export function problemHeaders(refused: Refused, requestId: string): string[] {
  return [
    'content-type',
    PROBLEM_TYPE,
    'cache-control',
    'no-store',
    'x-request-id',
    requestId,
    ...refused.headers,
  ];
}

const lingering = new WeakSet<ServerResponse>();

/** Whether the whole answer has been handed over, so that the connection may end as soon as it is flushed. */
export function isAnswered(res: ServerResponse): boolean {
  return res.writableEnded || lingering.has(res);
}

/** Reads and drops what the caller still sends, then ends the answer; bounded in time and bytes. */
function lingerThenEnd(req: RawRequest, res: ServerResponse): void {
  lingering.add(res);
  let bytes = 0;
  const end = (): void => {
    clearTimeout(timer);
    req.off('data', count);
    req.off('end', end);
    if (!res.writableEnded) res.end();
  };
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES) end();
  };
  const timer = setTimeout(end, LINGER_MS);
  req.on('data', count);
  req.once('end', end);
  // Also when the caller hangs up, which is what most do once they have read `connection: close`.
  res.once('close', end);
  req.resume();
}

/** Whether bytes of a body may still come. `complete` alone says no such thing: it is false for a GET inside its own hook. */
function bodyPending(req: RawRequest): boolean {
  if (req.complete) return false;
  const length = req.headers['content-length'];
  return (length !== undefined && length !== '0') || req.headers['transfer-encoding'] !== undefined;
}

/** Set by Node's HTTP/1.1 server on requests it has handed over to an upgrade; missing from its types. */
function isUpgrade(req: RawRequest): boolean {
  return (req as { readonly upgrade?: boolean }).upgrade === true;
}

function endHttp1(req: RawRequest, res: ServerResponse, body: string, hasBody: boolean): void {
  // Who asked first (RFC 9110 10.1.1) holds its body back, so there is nothing to wait for.
  if (!bodyPending(req) || req.headers.expect !== undefined) {
    if (hasBody) res.end(body);
    else res.end();
    return;
  }
  if (hasBody) res.write(body);
  else res.flushHeaders();
  lingerThenEnd(req, res);
}

/**
 * Sends a refusal on a raw response, hijacked ones included. When the head has left already there is no honest answer
 * to give, so the exchange is cut: over HTTP/1.1 the connection, over HTTP/2 the stream.
 * @param explain whether the explanation and the evidence are shown (EXPLAIN_REFUSALS).
 */
export function sendRefusal(res: RawResponse, refused: Refused, requestId: string, explain: boolean): void {
  const req: RawRequest = res.req;
  if (res.headersSent) {
    if (isHttp2(req)) req.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else if (!res.writableFinished) res.destroy();
    return;
  }
  const { kind } = refused;
  const body = problemBody(kind, requestId, explain ? refused : null);
  const headers = problemHeaders(refused, requestId);
  headers.push('content-length', String(Buffer.byteLength(body)));
  const hasBody = req.method !== 'HEAD';
  if (isHttp2(req)) {
    const response = res as Http2ServerResponse;
    if (response.stream.destroyed) return;
    response.writeHead(kind.status, headers as never);
    // What the caller still sends is cut off by the listener once this is finished.
    if (hasBody) response.end(body);
    else response.end();
    return;
  }
  const response = res as ServerResponse;
  // A body that nobody will read stands between this answer and the next request.
  if (bodyPending(req) || isUpgrade(req)) response.shouldKeepAlive = false;
  // A refused upgrade has left the HTTP server's hands already, so that nobody else would end its connection.
  if (isUpgrade(req)) response.once('finish', () => req.socket.destroySoon());
  response.writeHead(kind.status, headers);
  endHttp1(req, response, body, hasBody);
}

/** A whole HTTP/1.1 answer for a socket without a request, after which the connection is closed. */
export function problemMessage(kind: RefusalKind, requestId: string): string {
  const body = problemBody(kind, requestId, null);
  return (
    `HTTP/1.1 ${kind.status} ${STATUS_CODES[kind.status] ?? 'Error'}\r\n` +
    `content-type: ${PROBLEM_TYPE}\r\ncache-control: no-store\r\nx-request-id: ${requestId}\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  );
}
