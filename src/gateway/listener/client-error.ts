/**
 * Answers connections whose bytes are no HTTP message. The answer is written only when it cannot be mistaken for
 * another: not while the answer to an earlier request is still due or has begun.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RefusalKind } from '../refusal.ts';
import { listenerRefusals as kinds } from './errors.ts';
import { isAnswered, problemMessage } from './problem.ts';

/** How long a caller may take to read the answer before its connection is cut. */
const CLOSE_MS = 1_000;

/** The kind of answer for an error of the parser, or null when there is nobody to answer (a reset, a failed handshake). */
function kindOfClientError(code: string | undefined): RefusalKind | null {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return kinds.header_fields_too_large;
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return kinds.chunk_extensions_too_large;
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return kinds.request_timeout;
    default:
      return code?.startsWith('HPE_') === true ? kinds.request_malformed : null;
  }
}

/** Connections that were answered: the parser reports each further chunk as one more error. */
const answered = new WeakSet<Socket>();

function closeSoon(socket: Socket): void {
  answered.add(socket);
  const timer = setTimeout(() => socket.destroy(), CLOSE_MS);
  socket.once('close', () => clearTimeout(timer));
  // What the caller still sends is dropped, so that closing does not reset the connection before the answer is read.
  socket.resume();
}

/** Writes a whole answer to a connection and closes it, bounded in time. */
export function answerSocket(socket: Socket, kind: RefusalKind, requestId: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  closeSoon(socket);
  socket.end(problemMessage(kind, requestId));
}

/**
 * @param current the newest exchange of this connection, if there was one
 * @param requestId makes the id that the answer carries
 * @returns the kind that was answered, or null when the connection was cut without an answer
 */
export function onClientError(
  error: Error & { readonly code?: string },
  socket: Socket,
  current: ServerResponse | undefined,
  requestId: () => string,
): RefusalKind | null {
  if (socket.destroyed || answered.has(socket)) return null;
  const kind = kindOfClientError(error.code);
  if (kind === null) {
    socket.destroy(error);
    return null;
  }
  return answerBehind(socket, kind, current, requestId) ? kind : null;
}

/**
 * Answers what came behind the exchanges of a connection, and closes it.
 * @returns false when that answer could be taken for another's, and the connection was ended without it
 */
export function answerBehind(
  socket: Socket,
  kind: RefusalKind,
  current: ServerResponse | undefined,
  requestId: () => string,
): boolean {
  if (current !== undefined && !current.writableFinished && isAnswered(current)) {
    // The answer is whole but may not have been flushed: what the refused bytes are comes after it.
    closeSoon(socket);
    socket.end();
    return false;
  }
  if (isOwed(socket, current)) {
    socket.destroy();
    return false;
  }
  answerSocket(socket, kind, requestId());
  return true;
}

/**
 * Whether an answer is still due, or under way, to which ours would be taken to belong. A malformed body belongs to the
 * current exchange; when its request is complete, the fault lies in what was pipelined behind it. An exchange that waits
 * for its turn has no socket yet.
 */
function isOwed(socket: Socket, current: ServerResponse | undefined): boolean {
  if (current === undefined || current.writableFinished) return false;
  return current.headersSent || current.req.complete || current.socket !== socket;
}
