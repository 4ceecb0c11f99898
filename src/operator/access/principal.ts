/** Who is asking, and what that lets them do. */
import type { FastifyRequest } from 'fastify';

/** From least to most. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** What a route can ask for: `<resource>:read` or `<resource>:write`. */
export const SCOPES = [
  'agents:read',
  'agents:write',
  'policy:read',
  'policy:write',
  'revocations:read',
  'revocations:write',
  'keys:read',
  'keys:write',
  'decisions:read',
  'blocks:read',
  'blocks:write',
  'circuits:read',
  'circuits:write',
  'identifiers:read',
  'telemetry:read',
  'stream:read',
] as const;
export type Scope = (typeof SCOPES)[number];

export type AccessMethod = 'api_key' | 'jwt' | 'did' | 'local';

export interface Principal {
  /** For rows and log lines: `key:<id>`, `jwt:<issuer>|<subject>`, a DID, or `local`. */
  readonly actor: string;
  readonly method: AccessMethod;
  readonly role: Role;
  readonly scopes: ReadonlySet<Scope>;
  /** Milliseconds since the epoch; Infinity for a credential without an end. */
  readonly expiresAtMs: number;
  /**
   * Whether the credential still opens what it opened: not expired, revoked, rotated away or struck from `operators`.
   * For what outlives its request, such as the event stream.
   */
  stands(nowMs: number): boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the guard, on guarded routes only. */
    principal: Principal | null;
  }
}

const VIEWER = SCOPES.filter((scope) => scope.endsWith(':read') && scope !== 'keys:read');
const OPERATOR = SCOPES.filter((scope) => !scope.startsWith('keys:'));
const SCOPES_OF: Readonly<Record<Role, ReadonlySet<Scope>>> = {
  viewer: new Set(VIEWER),
  operator: new Set(OPERATOR),
  admin: new Set(SCOPES),
};

export function isRole(name: unknown): name is Role {
  return ROLES.some((role) => role === name);
}

/** What a role may, narrowed to `scopes` unless they are null. Names that are no scopes, or beyond the role, add nothing. */
export function scopesFor(role: Role, scopes: readonly string[] | null): ReadonlySet<Scope> {
  const all = SCOPES_OF[role];
  return scopes === null ? all : new Set([...all].filter((scope) => scopes.includes(scope)));
}

/** The highest role among the names; null when none of them is one. */
export function highestRole(names: readonly unknown[]): Role | null {
  return ROLES.findLast((role) => names.includes(role)) ?? null;
}

/**
 * The principal of a guarded request.
 * @throws {TypeError} on a route without a guard: a mistake of ours, and the request fails rather than running unnamed.
 */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null)
    throw new TypeError(`no guard stands before ${request.url.split('?', 1)[0]}`);
  return request.principal;
}
