/** Development only: a process on this machine may use the routes without a credential. */
import type { FastifyRequest } from 'fastify';
import { type Principal, scopesFor } from './principal.ts';

const LOOPBACK_ADDRESS = /^(?:127(?:\.\d{1,3}){3}|::1|::ffff:127(?:\.\d{1,3}){3})$/;
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

export const LOCAL: Principal = {
  actor: 'local',
  method: 'local',
  role: 'admin',
  scopes: scopesFor('admin', null),
  expiresAtMs: Number.POSITIVE_INFINITY,
  stands: () => true,
};

/** A page of another origin makes the browser of the developer ask: the request is local, who wrote it is not. */
function isOfAnotherSite(request: FastifyRequest): boolean {
  const { origin, 'sec-fetch-site': site } = request.headers;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== request.host.toLowerCase();
}

/**
 * True for a call made on this machine to this machine. A proxy on the same machine would make every stranger look
 * local, hence the forwarding fields; a web page whose name was pointed at 127.0.0.1 (DNS rebinding) would too, hence Host.
 */
export function isLocal(request: FastifyRequest): boolean {
  const { headers } = request;
  if (headers.forwarded !== undefined || headers['x-forwarded-for'] !== undefined) return false;
  if (isOfAnotherSite(request)) return false;
  return LOOPBACK_ADDRESS.test(request.socket.remoteAddress ?? '') && LOOPBACK_HOST.test(request.host);
}
