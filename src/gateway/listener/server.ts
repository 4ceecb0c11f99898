/**
 * The server: Fastify over TLS (ALPN chooses h2 or http/1.1) or over cleartext (HTTP/1.1 and h2c on one port). Every
 * request is examined before the router sees it, so that no route has to.
 */
import { randomBytes } from 'node:crypto';
import {
  createServer as createHttp1,
  type ServerOptions as Http1Options,
  type Server,
  type ServerResponse,
} from 'node:http';
import {
  createServer as createHttp2,
  createSecureServer,
  type ServerOptions as Http2Options,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import fastify, { type FastifyBaseLogger, type FastifyInstance, type RawServerDefault } from 'fastify';
import { type RefusalKind, Refused } from '../refusal.ts';
import { serveBoth } from './cleartext.ts';
import { answerBehind, answerSocket, onClientError } from './client-error.ts';
import { type Connections, Tracker } from './connections.ts';
import { markExpecting } from './continue.ts';
import { listenerRefusals } from './errors.ts';
import { frameworkError } from './plugin.ts';
import { sendRefusal } from './problem.ts';
import { createRequestIds } from './request-id.ts';
import { examine, isHttp2, type RawRequest, type RawResponse, type TargetLimits } from './target.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** What is open right now. */
    connections: Connections;
  }
}

export interface ServerOptions {
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly loggerInstance: FastifyBaseLogger;
  /** EXPLAIN_REFUSALS: whether answers say which component failed and what was expected. */
  readonly explainRefusals: boolean;
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount?: number;
  /** From the first byte of a request, or the opening of a connection, to the end of the head. */
  readonly headersTimeoutMs: number;
  /** How long a connection without a request is kept, an HTTP/2 session without a stream included. */
  readonly keepAliveTimeoutMs: number;
  readonly maxConnections: number;
  /** Told the code of each request that the listener refuses by itself, for which no route runs. */
  readonly onRefused?: (code: string, transport: 'http/1.1' | 'h2') => void;
}

/** Node's parser counts to 2,000; no honest caller comes near 100, and each field costs every later step. */
const HEADER_COUNT_MAX = 100;
/** A TLS handshake is two round trips; 10 s is a bad mobile link. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Streams of one session at once; 128 lets a busy SDK work and bounds what one connection can start. */
const CONCURRENT_STREAMS_MAX = 128;
/** MB that Node lets one session hold in buffers; the largest body it may buffer for 128 streams is counted elsewhere. */
const SESSION_MEMORY_MB = 10;
/**
 * Rapid reset (CVE-2023-44487): streams one session may reset, at once and per second, before it is told GOAWAY. Twice
 * the streams it may have open; Node's own default is a burst of 1,000.
 */
const STREAM_RESET_BURST = 2 * CONCURRENT_STREAMS_MAX;
const STREAM_RESET_PER_SECOND = 33;
/** Settings in one SETTINGS frame, and PINGs not yet answered: Node's defaults, named so that they stay. */
const SETTINGS_MAX = 32;
const PINGS_OUTSTANDING_MAX = 10;
/** Frames that are invalid, and streams refused, before the session is closed; an honest peer sends none. */
const INVALID_FRAMES_MAX = 100;
const REJECTED_STREAMS_MAX = 100;
/** Pseudo-header fields of a request, besides which `maxHeaderCount` counts. */
const PSEUDO_FIELDS = 4;

const CURRENT = Symbol('sage.current-exchange');
interface Marked {
  [CURRENT]?: ServerResponse;
}

type Handler = (req: RawRequest, res: RawResponse) => void;

/** Everything the parts of one server share. */
interface Shared {
  readonly options: ServerOptions;
  readonly limits: TargetLimits;
  readonly tracker: Tracker;
  readonly requestId: () => string;
}

function refuse(shared: Shared, res: RawResponse, refused: Refused): void {
  sendRefusal(res, refused, shared.requestId(), shared.options.explainRefusals);
  shared.options.onRefused?.(refused.kind.code, isHttp2(res.req) ? 'h2' : 'http/1.1');
}

/**
 * Whether the answer to an earlier request says `Connection: close`. What comes behind it is not served (RFC 9112 9.6), though
 * Node's parser goes on: behind a refused framing it may be the body of what was refused (RFC 9112 6.3).
 */
function isClosing(socket: Marked): boolean {
  return socket[CURRENT]?.shouldKeepAlive === false;
}

/** Notes an exchange; false for one that is not served: its connection is gone, or closes with an earlier answer. */
function begin(shared: Shared, req: RawRequest, res: RawResponse): boolean {
  if (!isHttp2(req)) {
    const marked = req.socket as Marked;
    if (isClosing(marked) || req.socket.destroyed) {
      req.resume();
      return false;
    }
    marked[CURRENT] = res as ServerResponse;
  }
  shared.tracker.trackExchange(res);
  return isHttp2(req) || !req.socket.destroyed;
}

function accept(shared: Shared, handler: Handler): Handler {
  return (req, res) => {
    if (!begin(shared, req, res)) return;
    try {
      examine(req, shared.limits);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refuse(shared, res, error);
      return;
    }
    handler(req, res);
  };
}

/** Whether an earlier request of the connection still waits for its answer, or for the rest of it. */
function isOwing(socket: Marked): boolean {
  return socket[CURRENT]?.writableFinished === false;
}

/**
 * Only a WebSocket over HTTP/1.1 is an upgrade (RFC 6455 4.2.1). Any other is ignored, as RFC 9110 7.8 allows, and so is
 * one whose request the listener refuses: it then arrives as an ordinary request and gets an ordinary answer. So does one
 * behind a request that is not answered yet: its 101 would be taken for that answer, and the answer for a WebSocket's bytes.
 */
function shouldUpgrade(shared: Shared, server: Server): (req: RawRequest) => boolean {
  return (req) => {
    if (isHttp2(req) || server.listenerCount('upgrade') === 0) return false;
    if (isClosing(req.socket as Marked) || isOwing(req.socket as Marked)) return false;
    if (req.headers.upgrade?.toLowerCase() !== 'websocket') return false;
    if (req.method !== 'GET' || req.httpVersion !== '1.1') return false;
    try {
      examine(req, shared.limits);
    } catch (error) {
      if (error instanceof Refused) return false;
      throw error;
    }
    shared.tracker.trackSocket(req.socket, 'upgraded');
    return true;
  };
}

function refuseConnect(shared: Shared, req: RawRequest, to: Duplex | RawResponse): void {
  const kind: RefusalKind = listenerRefusals.method_not_allowed;
  if (isHttp2(req)) {
    refuse(shared, to as RawResponse, new Refused(kind, { explanation: 'CONNECT is never served' }));
    return;
  }
  const socket = to as Socket;
  socket.on('error', () => socket.destroy());
  answerBehind(socket, kind, (socket as Marked)[CURRENT], shared.requestId);
  shared.options.onRefused?.(kind.code, 'http/1.1');
}

/** The events that an HTTP/1.1 server, an HTTP/2 server and a TLS server of both have in common. */
function attach(shared: Shared, server: Server, handler: Handler): void {
  const accepted = accept(shared, handler);
  const expecting: Handler = (req, res) => {
    markExpecting(req);
    accepted(req, res);
  };
  const unexpected: Handler = (req, res) => {
    if (!begin(shared, req, res)) return;
    const explanation = `unknown expectation "${req.headers.expect ?? ''}"`;
    refuse(shared, res, new Refused(listenerRefusals.expectation_failed, { explanation }));
  };
  server.on('request', accepted);
  server.on('checkContinue', expecting);
  server.on('checkExpectation', unexpected);
  server.on('connect', (req, to) => refuseConnect(shared, req, to));
}

function http1Options(options: ServerOptions): Http1Options {
  return {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.headersTimeoutMs,
    // No bound on the whole request: an upload or a stream may last for hours. Bodies have idle bounds of their own.
    requestTimeout: 0,
    keepAliveTimeout: options.keepAliveTimeoutMs,
    // Node looks every 30 s by default, which would let a slow head live for that long.
    connectionsCheckingInterval: Math.min(1_000, Math.max(50, options.headersTimeoutMs >> 2)),
    // A missing Host is refused with a problem document instead.
    requireHostHeader: false,
    insecureHTTPParser: false,
    noDelay: true,
  };
}

function http2Options(options: ServerOptions, limits: TargetLimits): Http2Options {
  return {
    maxSessionMemory: SESSION_MEMORY_MB,
    // Twice the bound, so that a caller a little above it gets a 431; far above it nghttp2 resets the stream.
    maxHeaderListPairs: 2 * limits.maxHeaderCount + PSEUDO_FIELDS,
    maxSettings: SETTINGS_MAX,
    maxOutstandingPings: PINGS_OUTSTANDING_MAX,
    maxSessionInvalidFrames: INVALID_FRAMES_MAX,
    maxSessionRejectedStreams: REJECTED_STREAMS_MAX,
    streamResetBurst: STREAM_RESET_BURST,
    streamResetRate: STREAM_RESET_PER_SECOND,
    settings: {
      maxConcurrentStreams: CONCURRENT_STREAMS_MAX,
      maxHeaderListSize: options.maxHeaderBytes,
      enablePush: false,
    },
  };
}

/** Node stops collecting at this count; one more than we allow, so that the excess is seen and refused, not dropped. */
function boundHttp1(shared: Shared, server: Server): void {
  server.maxHeadersCount = shared.limits.maxHeaderCount + 1;
  server.maxConnections = shared.options.maxConnections;
  server.on('drop', () => shared.options.onRefused?.('connection_dropped', 'http/1.1'));
  Object.assign(server, { shouldUpgradeCallback: shouldUpgrade(shared, server) });
}

function createTls(shared: Shared, tls: { key: string; cert: string }, handler: Handler): RawServerDefault {
  const { options, limits, tracker } = shared;
  const secure = createSecureServer({
    ...http2Options(options, limits),
    ...http1Options(options),
    key: tls.key,
    cert: tls.cert,
    allowHTTP1: true,
    minVersion: 'TLSv1.2',
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  // One object that speaks both: its HTTP/1.1 side has the events and fields of an HTTP/1.1 server.
  const server = secure as unknown as Server;
  attach(shared, server, handler);
  boundHttp1(shared, server);
  secure.on('session', (session) => tracker.trackSession(session));
  const handshakes = new Map<string, Socket>();
  const peer = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`;
  server.on('connection', (socket) => {
    const key = peer(socket);
    handshakes.set(key, socket);
    tracker.trackSocket(socket, 'handshake');
    socket.once('close', () => handshakes.delete(key));
  });
  secure.on('secureConnection', (socket: TLSSocket) => {
    const raw = handshakes.get(peer(socket));
    if (raw !== undefined) tracker.forgetSocket(raw);
    handshakes.delete(peer(socket));
    tracker.trackSocket(socket, socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1');
  });
  return server;
}

function createCleartext(shared: Shared, handler: Handler): RawServerDefault {
  const { options, limits, tracker } = shared;
  const http1 = createHttp1(http1Options(options));
  const http2 = createHttp2(http2Options(options, limits));
  attach(shared, http1, handler);
  attach(shared, http2 as unknown as Server, handler);
  boundHttp1(shared, http1);
  http2.on('session', (session) => tracker.trackSession(session));
  serveBoth({
    http1,
    http2,
    tracker,
    prefaceTimeoutMs: options.headersTimeoutMs,
    onTimeout: (socket, bytesSeen) => {
      // Who has said nothing expects no answer, and one would be taken for the answer to a request not yet sent.
      if (bytesSeen === 0) socket.destroy();
      else answerSocket(socket, listenerRefusals.request_timeout, shared.requestId());
    },
  });
  return http1;
}

function sweep(shared: Shared, server: Server): void {
  const { keepAliveTimeoutMs } = shared.options;
  server.on('listening', () => {
    const every = Math.min(5_000, Math.max(50, keepAliveTimeoutMs >> 2));
    const timer = setInterval(() => shared.tracker.sweepSessions(keepAliveTimeoutMs), every);
    server.once('close', () => clearInterval(timer));
  });
}

/** The server, without routes. The caller registers `listenerPlugin` first, then everything else. */
export function createServer(options: ServerOptions): FastifyInstance {
  const requestId = createRequestIds(Date.now, randomBytes(14));
  const tracker = new Tracker(() => performance.now());
  const limits = {
    maxHeaderCount: options.maxHeaderCount ?? HEADER_COUNT_MAX,
    maxHeaderBytes: options.maxHeaderBytes,
  };
  const shared: Shared = { options, limits, tracker, requestId };
  const app = fastify({
    loggerInstance: options.loggerInstance,
    serverFactory: (handler) => {
      const handle = handler as unknown as Handler;
      const { tls } = options;
      const server = tls === undefined ? createCleartext(shared, handle) : createTls(shared, tls, handle);
      sweep(shared, server as Server);
      return server;
    },
    clientErrorHandler: (error, socket) => {
      const kind = onClientError(error, socket, (socket as Marked)[CURRENT], requestId);
      if (kind !== null) options.onRefused?.(kind.code, 'http/1.1');
    },
    frameworkErrors: (error, request, reply) =>
      frameworkError(error, request, reply, options.explainRefusals),
    genReqId: requestId,
    // A caller's own id could be chosen to collide with another's.
    requestIdHeader: false,
    // One record per request is published by the path; two log lines per request would be a second one.
    logController: new fastify.LogController({ disableRequestLogging: true }),
    // A child logger for each request costs more than the rest of the router; who logs names the request id.
    childLoggerFactory: (logger) => logger,
    // Requests that were on their way when the drain began are served; the connection closes with their answer.
    return503OnClosing: false,
    trustProxy: false,
  });
  app.decorate('connections', tracker as Connections);
  // The instance serves HTTP/2 as well, for which Fastify has another type; its routes see the common part of both.
  return app as unknown as FastifyInstance;
}
