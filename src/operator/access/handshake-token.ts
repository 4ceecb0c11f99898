/**
 * A credential in the handshake of a WebSocket. A page in a browser can set no header of it but one: the subprotocols it
 * offers. So beside the one that is spoken it may offer `bearer.` and its key or token in base64url, which never stands
 * in a URL, is never chosen and so never sent back.
 */
import type { FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** For a route that opens WebSockets: the credential may stand among the subprotocols. */
    tokenInHandshake?: boolean;
  }
}

const PREFIX = 'bearer.';
/** Each is looked at; nobody needs more. */
const SUBPROTOCOLS_MAX = 8;

/** What a handshake offers, in its order. */
export function subprotocolsOf(request: FastifyRequest): string[] {
  const offered = request.headers['sec-websocket-protocol'];
  return offered === undefined ? [] : offered.split(',', SUBPROTOCOLS_MAX).map((name) => name.trim());
}

/** The token, empty for one that cannot be read; undefined when there is none, or the route takes none here. */
export function handshakeToken(request: FastifyRequest): string | undefined {
  if (request.routeOptions.config.tokenInHandshake !== true) return undefined;
  const encoded = subprotocolsOf(request)
    .find((name) => name.startsWith(PREFIX))
    ?.slice(PREFIX.length);
  if (encoded === undefined) return undefined;
  const token = Buffer.from(encoded, 'base64url');
  return token.toString('base64url') === encoded ? token.toString('utf8') : '';
}
