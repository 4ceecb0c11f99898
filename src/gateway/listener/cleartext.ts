/**
 * HTTP/1.1 and HTTP/2 with prior knowledge (RFC 9113 3.3) on one cleartext port. The first bytes decide: a connection
 * that begins with the HTTP/2 preface belongs to the HTTP/2 server, every other one to the HTTP/1.1 server, which never
 * learns that its bytes were looked at.
 */
import type { Server } from 'node:http';
import type { Http2Server } from 'node:http2';
import type { Socket } from 'node:net';
import type { Tracker } from './connections.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export interface CleartextOptions {
  readonly http1: Server;
  readonly http2: Http2Server;
  readonly tracker: Tracker;
  /** How long a connection may stay undecided. */
  readonly prefaceTimeoutMs: number;
  /** Told of a connection that sent the beginning of something and then nothing; it answers and closes. */
  readonly onTimeout: (socket: Socket, bytesSeen: number) => void;
}

/** null: not enough bytes to tell. */
function isPreface(bytes: Buffer): boolean | null {
  const length = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) return false;
  return length === PREFACE.length ? true : null;
}

function decide(socket: Socket, options: CleartextOptions, decided: (http2: boolean) => void): void {
  let held: Buffer | null = null;
  const timer = setTimeout(() => {
    release();
    // Whoever is told may still write: the error listener must outlive the wait.
    socket.on('error', () => socket.destroy());
    options.onTimeout(socket, held?.length ?? 0);
  }, options.prefaceTimeoutMs);
  const release = (): void => {
    clearTimeout(timer);
    socket.off('readable', read);
    socket.off('error', fail);
    socket.off('close', release);
    socket.off('end', fail);
  };
  const fail = (): void => {
    release();
    socket.destroy();
  };
  const read = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    // Held here until the decision: an undecided prefix that is unshifted and awaited again never becomes readable.
    held = held === null ? chunk : Buffer.concat([held, chunk]);
    const answer = isPreface(held);
    if (answer === null) return;
    release();
    socket.unshift(held);
    decided(answer);
  };
  socket.on('readable', read);
  socket.on('error', fail);
  socket.on('end', fail);
  socket.on('close', release);
}

/** Puts the decision before the HTTP/1.1 server's own connection listener. */
export function serveBoth(options: CleartextOptions): void {
  const { http1, http2, tracker } = options;
  const native = http1.listeners('connection') as ((this: Server, socket: Socket) => void)[];
  http1.removeAllListeners('connection');
  http1.on('connection', (socket: Socket) => {
    tracker.trackSocket(socket, 'undecided');
    decide(socket, options, (isHttp2) => {
      tracker.trackSocket(socket, isHttp2 ? 'h2' : 'http/1.1');
      if (isHttp2) {
        // An HTTP/1.1 server lets its sockets stay half open, which an HTTP/2 session does not expect: it would neither
        // notice that its peer is gone nor end the streams that peer had open.
        socket.allowHalfOpen = false;
        http2.emit('connection', socket);
      } else for (const listener of native) listener.call(http1, socket);
    });
  });
}
