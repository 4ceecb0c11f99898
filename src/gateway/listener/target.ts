/**
 * Reads the request line and the fields that frame a message from the raw message, and refuses every form that
 * another parser behind this one could read differently. What is returned is exactly what arrived, so that it can be
 * verified and forwarded byte for byte.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { type RefusalKind, Refused } from '../refusal.ts';
import { listenerRefusals as kinds } from './errors.ts';

export type RawRequest = IncomingMessage | Http2ServerRequest;
export type RawResponse = ServerResponse | Http2ServerResponse;

export interface RequestTarget {
  readonly transport: 'http/1.1' | 'h2';
  readonly method: string;
  /** Origin form as received (path and query), or `*` for OPTIONS. */
  readonly target: string;
  /** Everything before the first `?`, still percent-encoded. */
  readonly path: string;
  /** From the first `?` on; empty when there is none, `?` when it is there and empty (RFC 9421 2.2.7 tells them apart). */
  readonly query: string;
  /** Host or `:authority` as received, neither lower-cased nor stripped of its port. */
  readonly authority: string;
  /** Name, value pairs in their order, without the pseudo-header fields of HTTP/2. */
  readonly rawHeaders: readonly string[];
}

export interface TargetLimits {
  /** Header fields in one request, pseudo-header fields not counted. */
  readonly maxHeaderCount: number;
  /**
   * Bytes of names and values in one request. Node's HTTP/1.1 parser enforces it by itself; over HTTP/2 Node only
   * advertises SETTINGS_MAX_HEADER_LIST_SIZE and accepts more, so it is counted here.
   */
  readonly maxHeaderBytes: number;
}

/** Methods are tokens without a bound (RFC 9110 9.1); the longest registered one has 17 characters. */
const METHOD = /^[A-Z][A-Z-]{0,31}$/;
/** RFC 3986 lets visible ASCII through; a backslash is a slash to WHATWG parsers, a fragment is never sent (RFC 9110 7.1). */
const TARGET_FORBIDDEN = /[^\x21-\x7e]|[#\\]/;
/**
 * Dot segments, percent-encoded or not (RFC 3986 6.2.2.3), also between encoded slashes and before path parameters: an
 * upstream that resolves them serves another path than the one that policy saw. Callers resolve them before they sign.
 */
const DOT_SEGMENT = /(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?:\/|%2f|%5c|;|$)/i;
/** reg-name, IPv4 or bracketed IPv6, and a port (RFC 3986 3.2); percent-encoding and user information have no place in Host. */
const AUTHORITY = /^(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)(.*)$/i;

const TARGET = Symbol('sage.target');
interface Examined {
  [TARGET]?: RequestTarget;
}

function refuse(kind: RefusalKind, explanation: string): never {
  throw new Refused(kind, { explanation });
}

/** What one pass over the fields finds; reused, because the pass is synchronous and nothing escapes it. */
const seen = {
  host: '',
  hosts: 0,
  contentLength: '',
  transferEncoding: '',
  singletons: 0,
  bytes: 0,
};
const CONTENT_LENGTH = 1;
const CONTENT_TYPE = 2;
const AUTHORIZATION = 4;
const EXPECT = 8;
const TRANSFER_ENCODING = 16;

/** Marks a field that may stand once; a second one is refused, because Node keeps the first and others keep the last. */
function once(mark: number, name: string): void {
  if ((seen.singletons & mark) !== 0) refuse(kinds.field_repeated, `${name} was sent more than once`);
  seen.singletons |= mark;
}

function noteField(name: string, value: string): void {
  // The length tells almost every other field apart before any lower-casing is paid for.
  switch (name.length) {
    case 4:
      if (name === 'Host' || name === 'host' || name.toLowerCase() === 'host') {
        seen.host = value;
        seen.hosts++;
      }
      return;
    case 6:
      if (name.toLowerCase() === 'expect') once(EXPECT, 'Expect');
      return;
    case 12:
      if (name.toLowerCase() === 'content-type') once(CONTENT_TYPE, 'Content-Type');
      return;
    case 13:
      if (name.toLowerCase() === 'authorization') once(AUTHORIZATION, 'Authorization');
      return;
    case 14:
      if (name.toLowerCase() === 'content-length') {
        once(CONTENT_LENGTH, 'Content-Length');
        seen.contentLength = value;
      }
      return;
    case 17:
      if (name.toLowerCase() === 'transfer-encoding') {
        once(TRANSFER_ENCODING, 'Transfer-Encoding');
        seen.transferEncoding = value;
      }
      return;
    default:
  }
}

function scanFields(rawHeaders: readonly string[], start: number): void {
  seen.host = '';
  seen.hosts = 0;
  seen.contentLength = '';
  seen.transferEncoding = '';
  seen.singletons = 0;
  seen.bytes = 0;
  for (let i = start; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const value = rawHeaders[i + 1] as string;
    seen.bytes += name.length + value.length;
    noteField(name, value);
  }
  if (seen.hosts > 1) refuse(kinds.field_repeated, 'Host was sent more than once');
}

function checkAuthority(authority: string): void {
  if (authority === '') refuse(kinds.authority_missing, 'neither Host nor :authority names a host');
  if (!AUTHORITY.test(authority))
    refuse(kinds.authority_malformed, 'the authority is not a host with an optional port');
}

function checkMethod(method: string): void {
  if (method === 'GET' || method === 'POST') return;
  if (!METHOD.test(method)) refuse(kinds.method_malformed, 'the method is not an upper-case token');
  if (method === 'CONNECT' || method === 'TRACE')
    refuse(kinds.method_not_allowed, `${method} is never served`);
}

function checkTarget(target: string, path: string, method: string): void {
  if (target === '*') {
    if (method !== 'OPTIONS') refuse(kinds.target_malformed, 'only OPTIONS may have the target "*"');
    return;
  }
  if (target.charCodeAt(0) !== 0x2f) refuse(kinds.target_malformed, 'the target does not start with a slash');
  if (TARGET_FORBIDDEN.test(target))
    refuse(kinds.target_malformed, 'the target holds a character that may not stand there');
  if (DOT_SEGMENT.test(path)) refuse(kinds.target_malformed, 'the path holds a dot segment');
}

/** RFC 9112 6.1 and 6.3: the shapes by which one message is taken for two. The parser refuses most; these it lets through. */
function checkFraming(req: IncomingMessage): void {
  const marks = seen.singletons & (CONTENT_LENGTH | TRANSFER_ENCODING);
  if (marks === 0) return;
  if (marks === (CONTENT_LENGTH | TRANSFER_ENCODING))
    refuse(kinds.framing_ambiguous, 'both Content-Length and Transfer-Encoding were sent');
  if (marks === TRANSFER_ENCODING) {
    if (req.httpVersionMinor === 0)
      refuse(kinds.framing_ambiguous, 'HTTP/1.0 knows no Transfer-Encoding (RFC 9112 6.1)');
    // The body would be handed on without the coding it was sent in.
    if (seen.transferEncoding.toLowerCase() !== 'chunked')
      refuse(kinds.framing_ambiguous, 'the only transfer coding served is chunked');
  }
  // Other upgrades (h2c) are ignored, as RFC 9110 7.8 allows, and their request is served as it stands.
  if (req.headers.upgrade?.toLowerCase() === 'websocket' && seen.contentLength !== '0')
    refuse(kinds.framing_ambiguous, 'an Upgrade was sent together with a body');
}

/** Splits an absolute target (RFC 9112 3.2.2) into its origin form; the authority must be the one Host names. */
function originForm(url: string): string {
  if (url.charCodeAt(0) === 0x2f || url === '*') return url;
  const match = ABSOLUTE_FORM.exec(url);
  if (match === null) refuse(kinds.target_malformed, 'the target is neither a path nor an http URL');
  if ((match[1] ?? '').toLowerCase() !== seen.host.toLowerCase())
    refuse(kinds.authority_mismatch, 'the absolute target and Host name different hosts');
  const rest = match[2] ?? '';
  return rest.charCodeAt(0) === 0x2f ? rest : `/${rest}`;
}

function examineHttp1(req: IncomingMessage, limits: TargetLimits): RequestTarget {
  // The parser takes "HTTP/0.9" and "HTTP/2.0" in a request line of HTTP/1.1 and reports them as such.
  if (req.httpVersionMajor !== 1)
    refuse(kinds.http_version_unsupported, `HTTP/${req.httpVersion} over an HTTP/1.1 connection`);
  const { rawHeaders } = req;
  if (rawHeaders.length > 2 * limits.maxHeaderCount)
    refuse(kinds.header_fields_too_large, `more than ${limits.maxHeaderCount} header fields`);
  scanFields(rawHeaders, 0);
  const method = req.method ?? '';
  checkMethod(method);
  checkAuthority(seen.host);
  checkFraming(req);
  const target = originForm(req.url ?? '');
  const question = target.indexOf('?');
  const path = question < 0 ? target : target.slice(0, question);
  checkTarget(target, path, method);
  // From here on there is one notion of the target: the router must not see the absolute form.
  if (req.url !== target) req.url = target;
  const query = question < 0 ? '' : target.slice(question);
  return { transport: 'http/1.1', method, target, path, query, authority: seen.host, rawHeaders };
}

function examineHttp2(req: Http2ServerRequest, limits: TargetLimits): RequestTarget {
  const raw = req.rawHeaders;
  let start = 0;
  let authority = '';
  // Pseudo-header fields stand before all others (RFC 9113 8.3), nghttp2 sees to it; `:scheme` is the caller's choice and ignored.
  while (start < raw.length && (raw[start] as string).charCodeAt(0) === 0x3a) {
    if (raw[start] === ':authority') authority = raw[start + 1] as string;
    start += 2;
  }
  if (raw.length - start > 2 * limits.maxHeaderCount)
    refuse(kinds.header_fields_too_large, `more than ${limits.maxHeaderCount} header fields`);
  scanFields(raw, start);
  const target = req.url;
  if (seen.bytes + target.length > limits.maxHeaderBytes)
    refuse(kinds.header_fields_too_large, `more than ${limits.maxHeaderBytes} bytes of header fields`);
  checkMethod(req.method);
  // RFC 9113 8.3.1: a Host field unlike :authority is to be refused; without :authority, Host stands for it.
  if (seen.hosts === 1) {
    if (authority === '') authority = seen.host;
    else if (authority !== seen.host && authority.toLowerCase() !== seen.host.toLowerCase())
      refuse(kinds.authority_mismatch, ':authority and Host name different hosts');
  }
  checkAuthority(authority);
  const question = target.indexOf('?');
  const path = question < 0 ? target : target.slice(0, question);
  checkTarget(target, path, req.method);
  const query = question < 0 ? '' : target.slice(question);
  return {
    transport: 'h2',
    method: req.method,
    target,
    path,
    query,
    authority,
    rawHeaders: raw.slice(start),
  };
}

export function isHttp2(req: RawRequest): req is Http2ServerRequest {
  // Never by the version: an HTTP/1.1 request line may claim 2.0.
  return (req as Partial<Http2ServerRequest>).stream !== undefined;
}

/**
 * Examines a request once and keeps the answer with it. The listener calls this for each request before the router
 * sees it.
 * @throws {Refused} with a kind of `listenerRefusals` when the message could be read in two ways or exceeds a bound.
 */
export function examine(req: RawRequest, limits: TargetLimits): RequestTarget {
  const target = isHttp2(req) ? examineHttp2(req, limits) : examineHttp1(req, limits);
  (req as Examined)[TARGET] = target;
  return target;
}

/**
 * The target of a request that the listener has let through.
 * @throws {Refused} `request_malformed` for a request that never passed the listener: fail closed.
 */
export function readTarget(req: RawRequest): RequestTarget {
  const target = (req as Examined)[TARGET];
  if (target === undefined) refuse(kinds.request_malformed, 'the request did not pass the listener');
  return target;
}
