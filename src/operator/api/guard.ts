/**
 * Who may use the operators' routes: whoever sends `OPERATOR_API_KEY` as `Authorization: Bearer …` (RFC 6750, section
 * 2.1). Never in a query, which proxies log and browsers remember.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { OperatorError } from '../errors.ts';

export interface GuardOptions {
  /** Null: the routes answer 403, unless `openOnLoopback`. */
  readonly apiKey: string | null;
  /** Development only: without a key, a process on this machine may use the routes. */
  readonly openOnLoopback: boolean;
  /** Whose wrong keys are counted together. */
  readonly addressOf: (request: FastifyRequest) => string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

interface Attempts {
  failures: number;
  windowEndsAtMs: number;
  /** The right key has come from this address. */
  trusted: boolean;
}

/** Wrong keys from one address within the window; a person mistypes fewer. */
const FAILURES_MAX = 10;
const WINDOW_MS = 60_000;
/** Addresses remembered, about 200 bytes each. Whoever has more addresses than this has as many guesses anyway. */
const ADDRESSES_MAX = 4096;
/** No key is longer, so nothing longer is hashed. */
const KEY_LENGTH_MAX = 1024;

const BEARER = /^bearer +(\S+) *$/i;
const LOOPBACK_ADDRESS = /^(?:127(?:\.\d{1,3}){3}|::1|::ffff:127(?:\.\d{1,3}){3})$/;
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * True for a call made on this machine to this machine. A proxy on the same machine would make every stranger look
 * local, hence the forwarding fields; a web page whose name was pointed at 127.0.0.1 (DNS rebinding) would too, hence Host.
 */
function isLocal(request: FastifyRequest): boolean {
  const { headers } = request;
  if (headers.forwarded !== undefined || headers['x-forwarded-for'] !== undefined) return false;
  return LOOPBACK_ADDRESS.test(request.socket.remoteAddress ?? '') && LOOPBACK_HOST.test(request.host);
}

/**
 * Makes an `onRequest` hook. It throws `OperatorError`: `operator_access_not_configured` (403),
 * `operator_unauthenticated` (401, with WWW-Authenticate), `operator_attempts_limited` (429, with Retry-After).
 *
 * An address over its failures is refused before its key is looked at, else the limit would not limit guessing. The
 * exception is an address from which the right key has come: behind a shared address (a proxy, a NAT), a stranger's wrong
 * keys would otherwise switch the operator's monitoring off.
 */
export function createGuard(options: GuardOptions): Guard {
  const expected = options.apiKey === null ? null : digest(options.apiKey);
  const addresses = new LRUCache<string, Attempts>({ max: ADDRESSES_MAX });

  const attemptsFrom = (address: string, nowMs: number): Attempts => {
    const known = addresses.get(address);
    if (known !== undefined && nowMs < known.windowEndsAtMs) return known;
    const fresh = { failures: 0, windowEndsAtMs: nowMs + WINDOW_MS, trusted: known?.trusted ?? false };
    addresses.set(address, fresh);
    return fresh;
  };

  const refuseLimited = (reply: FastifyReply, attempts: Attempts, nowMs: number): never => {
    reply.header('retry-after', Math.max(1, Math.ceil((attempts.windowEndsAtMs - nowMs) / 1000)));
    throw new OperatorError('operator_attempts_limited');
  };

  return async (request, reply) => {
    reply.header('cache-control', 'no-store');
    if (expected === null) {
      if (options.openOnLoopback && isLocal(request)) return;
      throw new OperatorError('operator_access_not_configured');
    }
    const nowMs = options.now();
    const attempts = attemptsFrom(options.addressOf(request), nowMs);
    const limited = attempts.failures >= FAILURES_MAX;
    if (limited && !attempts.trusted) refuseLimited(reply, attempts, nowMs);
    const presented = BEARER.exec(request.headers.authorization ?? '')?.[1] ?? '';
    // Both sides are hashed, so the comparison takes as long whatever the key's length or first wrong letter.
    const right = timingSafeEqual(digest(presented.slice(0, KEY_LENGTH_MAX)), expected);
    if (right) {
      attempts.trusted = true;
      return;
    }
    if (limited) refuseLimited(reply, attempts, nowMs);
    // A request without a key is no guess.
    if (presented !== '') attempts.failures++;
    const reason = presented === '' ? '' : ', error="invalid_token"';
    reply.header('www-authenticate', `Bearer realm="sage-gateway"${reason}`);
    throw new OperatorError('operator_unauthenticated');
  };
}
