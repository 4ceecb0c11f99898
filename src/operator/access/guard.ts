/**
 * Who may use the operators' routes. A bearer token (RFC 6750, section 2.1) is `OPERATOR_API_KEY`, an API key or a JWT,
 * never in a query, which proxies log and browsers remember; without one, the request may be signed by a DID.
 *
 * A route says what it asks for in `config: { scope: 'agents:write' }`; `'any'` is open to every role. A guarded route
 * without a scope fails when it is registered.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { OperatorError } from '../errors.ts';
import { type Attempts, createAttempts, isOverLimit, secondsLeft } from './attempts.ts';
import { handshakeToken } from './handshake-token.ts';
import { isLocal, LOCAL } from './local.ts';
import type { Principal, Scope } from './principal.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the principal of a guarded route must be allowed; `any`: every role may. */
    scope?: Scope | 'any';
  }
}

/**
 * Whose a bearer token is; null when it is nobody's this check knows.
 * @throws OperatorError when it is known and may not be used now, which is no guess and counts as none
 */
export type CheckBearer = (token: string, nowMs: number) => Principal | null | Promise<Principal | null>;

/**
 * Who signed a request.
 * @param admit called with the principal before the body is waited for; throws to refuse it
 * @throws what the listener answers with, its `kind` at least
 */
export type CheckSignature = (
  request: FastifyRequest,
  reply: FastifyReply,
  admit: (principal: Principal) => void,
) => Promise<Principal>;

export interface GuardOptions {
  /** In their order; the first that knows the token decides. */
  readonly bearer: readonly CheckBearer[];
  /** Null: requests are not proven by signature. */
  readonly signature: CheckSignature | null;
  /** Development only: without a credential, a process on this machine may use the routes. */
  readonly openOnLoopback: boolean;
  /** Whether there is any credential that could open the routes; if not they answer 403 and say so. */
  readonly configured: () => boolean;
  /** Whose wrong credentials are counted together. */
  readonly addressOf: (request: FastifyRequest) => string;
  /** Tells a client that asked first (RFC 9110, section 10.1.1) to send its body. */
  readonly proceed: (request: FastifyRequest, reply: FastifyReply) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** No credential is longer, so nothing longer is hashed or parsed; a JWT with many groups has 4 KiB. */
const TOKEN_LENGTH_MAX = 8_192;
const BEARER = /^bearer +(\S+) *$/i;
/** What says that somebody guesses; a signature that is merely old does not. */
const FORGERIES: ReadonlySet<string> = new Set(['signature_invalid', 'digest_mismatch']);

export type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

function refuseLimited(reply: FastifyReply, attempts: Attempts, nowMs: number): never {
  reply.header('retry-after', secondsLeft(attempts, nowMs));
  throw new OperatorError('operator_attempts_limited');
}

function refuseUnknown(reply: FastifyReply, presented: boolean): never {
  const reason = presented ? ', error="invalid_token"' : '';
  reply.header('www-authenticate', `Bearer realm="sage-gateway"${reason}`);
  throw new OperatorError('operator_unauthenticated');
}

/** @throws OperatorError operator_forbidden, naming the scope that is missing */
function checkScope(principal: Principal, request: FastifyRequest): void {
  const { scope } = request.routeOptions.config;
  if (scope === 'any' || (scope !== undefined && principal.scopes.has(scope))) return;
  throw new OperatorError('operator_forbidden', { detail: `This needs the scope ${scope ?? '(none)'}.` });
}

function codeOf(error: unknown): string {
  const { kind } = error as { readonly kind?: { readonly code?: unknown } };
  return typeof kind?.code === 'string' ? kind.code : '';
}

/**
 * Makes an `onRequest` hook. It throws `OperatorError`: `operator_access_not_configured` (403),
 * `operator_unauthenticated` (401, with WWW-Authenticate), `operator_forbidden` (403), `operator_attempts_limited` (429,
 * with Retry-After); and what identity refuses a signature with.
 *
 * An address over its failures is refused before its credential is looked at, else the limit would not limit guessing. The
 * exception is an address from which a right one has come: behind a shared address (a proxy, a NAT), a stranger's wrong
 * keys would otherwise switch the operator's monitoring off.
 */
export function createGuard(options: GuardOptions): Guard {
  const addresses = createAttempts();

  const byBearer = async (token: string, nowMs: number): Promise<Principal | null> => {
    if (token === '' || token.length > TOKEN_LENGTH_MAX) return null;
    for (const check of options.bearer) {
      const found = check(token, nowMs);
      const principal = found instanceof Promise ? await found : found;
      if (principal !== null) return principal;
    }
    return null;
  };

  const bySignature = async (
    request: FastifyRequest,
    reply: FastifyReply,
    attempts: Attempts,
    check: CheckSignature,
  ): Promise<Principal> => {
    try {
      return await check(request, reply, (principal) => checkScope(principal, request));
    } catch (error) {
      if (FORGERIES.has(codeOf(error))) attempts.failures++;
      throw error;
    }
  };

  return async (request, reply) => {
    const { authorization, 'signature-input': signatureInput } = request.headers;
    const inHandshake = authorization === undefined ? handshakeToken(request) : undefined;
    const anonymous =
      authorization === undefined && signatureInput === undefined && inHandshake === undefined;
    if (options.openOnLoopback && anonymous && isLocal(request)) {
      request.principal = LOCAL;
      options.proceed(request, reply);
      return;
    }
    if (!options.configured()) throw new OperatorError('operator_access_not_configured');
    const nowMs = options.now();
    const attempts = addresses.from(options.addressOf(request), nowMs);
    const limited = isOverLimit(attempts);
    if (limited && !attempts.trusted) refuseLimited(reply, attempts, nowMs);
    let principal: Principal | null;
    if (authorization === undefined && signatureInput !== undefined && options.signature !== null) {
      principal = await bySignature(request, reply, attempts, options.signature);
    } else {
      const presented = inHandshake ?? BEARER.exec(authorization ?? '')?.[1] ?? '';
      principal = await byBearer(presented, nowMs);
      if (principal === null) {
        if (limited) refuseLimited(reply, attempts, nowMs);
        // A request without a key is no guess.
        if (presented !== '') attempts.failures++;
        refuseUnknown(reply, presented !== '');
      }
    }
    attempts.trusted = true;
    checkScope(principal, request);
    request.principal = principal;
    options.proceed(request, reply);
  };
}

/** Puts the guard before every route of this scope; its routes must say their `config.scope`. */
export function guardRoutes(app: FastifyInstance, guard: Guard): void {
  app.addHook('onRequest', guard);
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.scope === undefined)
      throw new TypeError(`${String(method)} ${url} is guarded and says no config.scope`);
  });
}
