/**
 * The caller's half: what must be right in a handshake before an agent is bothered with it, where the opened upstream
 * waits until the caller's socket is there, and how `@fastify/websocket` is set up.
 */
import type { IncomingMessage } from 'node:http';
import type { WebsocketPluginOptions } from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import type { WebSocket } from 'ws';
import { Refused } from '../refusal.ts';
import { closeClient } from './websocket.ts';
import { websocketRefusals as kinds } from './websocket-errors.ts';
import { CLOSE_TIMEOUT_MS, FRAGMENTS_MAX, type UpstreamSocket } from './websocket-upstream.ts';

/** RFC 6455 4.2.1: 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Subprotocols a caller may offer; each is checked and sent on. */
const SUBPROTOCOLS_MAX = 16;

/**
 * Checks a caller's handshake before anything is opened for it.
 * @returns the subprotocols offered, in the caller's order of preference
 * @throws {Refused} `websocket_handshake_malformed` or `websocket_version_unsupported` (with the version we speak)
 */
export function readHandshake(req: IncomingMessage): readonly string[] {
  if (req.headers['sec-websocket-version'] !== '13') {
    throw new Refused(kinds.websocket_version_unsupported, {
      headers: ['sec-websocket-version', '13', 'upgrade', 'websocket', 'connection', 'upgrade'],
    });
  }
  const malformed = (explanation: string): Refused =>
    new Refused(kinds.websocket_handshake_malformed, { explanation });
  if (!KEY.test(req.headers['sec-websocket-key'] ?? '')) throw malformed('Sec-WebSocket-Key');
  const offered = req.headers['sec-websocket-protocol'];
  if (offered === undefined) return [];
  const subprotocols = offered.split(',').map((token) => token.trim());
  if (subprotocols.length > SUBPROTOCOLS_MAX) throw malformed(`more than ${SUBPROTOCOLS_MAX} subprotocols`);
  if (new Set(subprotocols).size !== subprotocols.length || !subprotocols.every((token) => TOKEN.test(token)))
    throw malformed('Sec-WebSocket-Protocol');
  return subprotocols;
}

/** Upstreams that are open while the caller's own handshake is being finished. */
const waiting = new WeakMap<IncomingMessage, UpstreamSocket>();

/** Keeps an opened upstream for the caller's socket; closed again when the caller goes away before it is taken. */
export function holdUpstream(req: IncomingMessage, upstream: UpstreamSocket): void {
  waiting.set(req, upstream);
  const drop = (): void => takeUpstream(req)?.socket.terminate();
  if (req.socket.destroyed) drop();
  else req.socket.once('close', drop);
}

/** The upstream held for this request, once; null when it has been taken or dropped. */
export function takeUpstream(req: IncomingMessage): UpstreamSocket | null {
  const upstream = waiting.get(req);
  waiting.delete(req);
  return upstream ?? null;
}

/**
 * Options for `@fastify/websocket`.
 * @param maxPayloadBytes the largest message any caller may send; a larger one closes its socket with 1009
 */
export function websocketServerOptions(maxPayloadBytes: number): WebsocketPluginOptions {
  const options: NonNullable<WebsocketPluginOptions['options']> & { closeTimeout: number } = {
    maxPayload: maxPayloadBytes,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: FRAGMENTS_MAX,
    // Each compressed connection holds a window of up to 32 KiB per direction, and a few bytes inflate to megabytes.
    perMessageDeflate: false,
    clientTracking: true,
    closeTimeout: CLOSE_TIMEOUT_MS,
    // The agent has chosen already, and what it chose is among those offered.
    handleProtocols: (_offered, req) => waiting.get(req)?.subprotocol || false,
  };
  return {
    options,
    // The relay listens to errors itself, and ws has sent the close frame they ask for: to terminate here, as the
    // plugin does by default, would cut that frame off.
    errorHandler: (_error: Error, socket: WebSocket) => {
      if (socket.readyState === socket.OPEN) socket.close(1011);
    },
    async preClose(this: FastifyInstance) {
      const server = this.websocketServer;
      for (const client of server.clients) closeClient(client, 1001, 'the gateway is shutting down');
      // Handshakes that finish from now on get 503; whoever is still closing is waited for by the HTTP server.
      server.close();
    },
  };
}
