/**
 * What is open: sockets, HTTP/2 sessions, exchanges. Drain needs it to know what to wait for and what to cut, the
 * session sweep to find sessions nobody uses. It is bounded by `maxConnections` and `maxConcurrentStreams`.
 */
import type { IncomingMessage } from 'node:http';
import { constants, type Http2ServerRequest, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { Bag } from '../bag.ts';
import { isHttp2, type RawResponse } from './target.ts';

/** What a connection turned out to carry; `undecided` until its first bytes, or its TLS handshake, say so. */
export type SocketKind = 'handshake' | 'undecided' | 'http/1.1' | 'h2' | 'upgraded';

/**
 * How long the rest of a body may still come once its answer is complete: Node would read it without end to keep the
 * connection usable. Callers that were refused are told `connection: close` and stop.
 */
const LEFTOVER_BODY_MS = 2_000;

/**
 * Requests of one HTTP/1.1 connection that may wait for their answers at once, as many as a session may have streams. Node
 * bounds only what is written, so that one connection could start requests without end; nobody honest pipelines a dozen.
 */
const UNANSWERED_MAX = 128;
const UNANSWERED = Symbol('sage.unanswered');
interface Counted {
  [UNANSWERED]?: number;
}

interface SessionUse {
  streams: number;
  /** Monotonic milliseconds when the last stream ended. */
  idleSince: number;
}

export interface Connections {
  /** Exchanges whose answer has not been sent to its end; WebSockets are not among them. */
  readonly requestsInFlight: number;
  /** WebSockets and other upgraded connections. */
  readonly upgradesOpen: number;
  readonly socketsOpen: number;
  readonly draining: boolean;
}

function endLeftoverBody(req: IncomingMessage): void {
  const { socket } = req;
  const timer = setTimeout(() => socket.destroy(), LEFTOVER_BODY_MS);
  req.once('end', () => clearTimeout(timer));
  socket.once('close', () => clearTimeout(timer));
}

/** RFC 9113 8.1: after a whole answer, RST_STREAM with NO_ERROR asks the caller to stop sending. */
function endLeftoverStream({ stream }: Http2ServerRequest): void {
  if (stream.destroyed || stream.readableEnded) return;
  stream.close(constants.NGHTTP2_NO_ERROR);
  // Node destroys a stream whose body was begun only once what had arrived is read; whoever began it has given it up,
  // and until then neither the stream nor its session would ever end, not even when the caller is gone.
  stream.resume();
}

export class Tracker implements Connections {
  draining = false;
  readonly #sockets = new Map<Socket, SocketKind>();
  readonly #sessions = new Map<ServerHttp2Session, SessionUse>();
  readonly #exchanges = new Bag<RawResponse>();
  readonly #now: () => number;
  /** One function for all exchanges: a closure for each would be garbage for each. */
  readonly #onExchangeClosed: (this: RawResponse) => void;
  #upgrades = 0;

  /** @param now monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    const ended = (res: RawResponse): void => this.#exchangeEnded(res);
    this.#onExchangeClosed = function () {
      ended(this);
    };
  }

  get requestsInFlight(): number {
    return this.#exchanges.size;
  }

  get upgradesOpen(): number {
    return this.#upgrades;
  }

  get socketsOpen(): number {
    return this.#sockets.size;
  }

  trackSocket(socket: Socket, kind: SocketKind): void {
    const known = this.#sockets.has(socket);
    this.#sockets.set(socket, kind);
    if (!known) socket.once('close', () => this.#sockets.delete(socket));
    if (kind !== 'upgraded') return;
    this.#upgrades++;
    socket.once('close', () => this.#upgrades--);
  }

  /** For the socket beneath a TLS one, which takes its place. */
  forgetSocket(socket: Socket): void {
    this.#sockets.delete(socket);
  }

  trackSession(session: ServerHttp2Session): void {
    this.#sessions.set(session, { streams: 0, idleSince: this.#now() });
    session.once('close', () => this.#sessions.delete(session));
    if (this.draining) session.close();
  }

  trackExchange(res: RawResponse): void {
    this.#exchanges.add(res);
    res.on('close', this.#onExchangeClosed);
    const { req } = res;
    if (isHttp2(req)) {
      this.#useSession(req);
      return;
    }
    if (this.draining) (res as { shouldKeepAlive: boolean }).shouldKeepAlive = false;
    const counted = req.socket as Counted;
    counted[UNANSWERED] = (counted[UNANSWERED] ?? 0) + 1;
    if (counted[UNANSWERED] > UNANSWERED_MAX) req.socket.destroy();
  }

  #useSession(req: Http2ServerRequest): void {
    const { stream } = req;
    // Not the response's own `finish`, which comes when the stream has closed; trailers leave in this turn of the loop.
    if (!stream.endAfterHeaders) stream.once('finish', () => setImmediate(endLeftoverStream, req));
    const use = this.#sessions.get(stream.session as ServerHttp2Session);
    if (use === undefined) return;
    use.streams++;
    stream.once('close', () => {
      use.streams--;
      use.idleSince = this.#now();
    });
  }

  #exchangeEnded(res: RawResponse): void {
    this.#exchanges.delete(res);
    const { req } = res;
    if (isHttp2(req)) return;
    const { socket } = req;
    const counted = socket as Counted;
    counted[UNANSWERED] = (counted[UNANSWERED] ?? 1) - 1;
    if (!req.complete && !socket.destroyed) endLeftoverBody(req);
    // The head may have promised keep-alive before the drain began; then nothing else would end this connection.
    if (this.draining && this.#sockets.get(socket) === 'http/1.1') socket.end();
  }

  /** Closes sessions that have had no stream for `idleMs`. A PING does not count as use. */
  sweepSessions(idleMs: number): void {
    const now = this.#now();
    for (const [session, use] of this.#sessions) {
      if (use.streams > 0 || now - use.idleSince < idleMs) continue;
      // A session that was asked to close a whole period ago does not read any more.
      if (session.closed) session.destroy();
      session.close();
      use.idleSince = now;
    }
  }

  /** From now on every answer over HTTP/1.1 closes its connection, and every HTTP/2 session has been told GOAWAY. */
  beginDrain(): void {
    if (this.draining) return;
    this.draining = true;
    for (const res of this.#exchanges) {
      if (!isHttp2(res.req)) (res as { shouldKeepAlive: boolean }).shouldKeepAlive = false;
    }
    for (const session of this.#sessions.keys()) session.close();
  }

  /** Destroys connections with nothing in flight; `Server.closeIdleConnections` spares those that never spoke. */
  closeSilent(): void {
    const busy = new Set<Socket>();
    for (const { req } of this.#exchanges) if (!isHttp2(req)) busy.add(req.socket);
    for (const [socket, kind] of this.#sockets) {
      if (kind !== 'h2' && kind !== 'upgraded' && !busy.has(socket)) socket.destroy();
    }
  }

  /** Destroys everything that is left. Returns how many exchanges and upgraded connections that cut. */
  destroyAll(): number {
    const cut = this.#exchanges.size + this.#upgrades;
    for (const session of this.#sessions.keys()) session.destroy();
    for (const socket of this.#sockets.keys()) socket.destroy();
    return cut;
  }
}
