/**
 * Bearer tokens of an OpenID Connect provider (RFC 7519, RFC 9068, RFC 8725). Issuer, audience and algorithms are pinned
 * by the configuration; nothing in a token chooses them. Keys come from the provider alone: `jwk`, `jku`, `x5u` and `x5c`
 * in a header are never looked at, and a critical header nobody knows refuses the token (RFC 7515, section 4.1.11).
 */
import { OperatorError } from '../errors.ts';
import type { CheckBearer } from './guard.ts';
import { highestRole, type Principal, scopesFor } from './principal.ts';
import { type ProviderKeys, ProviderUnavailable } from './provider-keys.ts';

/** Asymmetric ones only: with a shared secret, or none, whoever reads the provider's public key could sign. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** Seconds for Retry-After: the cooldown after which the provider is asked again. */
const RETRY_AFTER_S = '30';
/** Longer names of people and services are cut nowhere, so they are refused. */
const SUBJECT_LENGTH_MAX = 256;

export interface JwtOptions {
  /** As tokens name it, to the letter. */
  readonly issuer: string;
  readonly audience: string;
  /** Claim with the role, or a list with it. */
  readonly roleClaim: string;
  readonly clockSkewSeconds: number;
  readonly keys: ProviderKeys;
}

/** Why a token that the provider did sign is not taken: no guess, so it counts as none. */
function refuse(detail: string): OperatorError {
  return new OperatorError('operator_unauthenticated', {
    detail,
    headers: ['www-authenticate', 'Bearer realm="sage-gateway", error="invalid_token"'],
  });
}

function jsonOf(part: string | undefined): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}

/** Before a key is looked for: whether the token says of itself that it could be one of ours. */
function claimsToBeOurs(token: string, issuer: string): boolean {
  if (!COMPACT.test(token)) return false;
  const [header, payload] = token.split('.', 2).map(jsonOf);
  return typeof header?.alg === 'string' && ALGORITHMS.includes(header.alg) && payload?.iss === issuer;
}

function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : '';
}

/** @returns null for a token that nobody trusted has signed @throws OperatorError */
function refusal(error: unknown): null {
  if (error instanceof ProviderUnavailable)
    throw new OperatorError('identity_provider_unavailable', { headers: ['retry-after', RETRY_AFTER_S] });
  switch (codeOf(error)) {
    case 'ERR_JWT_EXPIRED':
      throw refuse('The token has expired.');
    case 'ERR_JWT_CLAIM_VALIDATION_FAILED':
      throw refuse('A claim of the token is not what this gateway asks for.');
    case '':
      throw error;
    default:
      return null;
  }
}

function rolesIn(claim: unknown): readonly unknown[] {
  return Array.isArray(claim) ? claim : [claim];
}

/** @throws OperatorError operator_forbidden for a token without a role, which may be a good one for other purposes */
function principalFrom(
  claims: Readonly<Record<string, unknown>>,
  { issuer, roleClaim }: JwtOptions,
): Principal {
  const { sub, exp } = claims;
  if (typeof sub !== 'string' || sub === '' || sub.length > SUBJECT_LENGTH_MAX || typeof exp !== 'number')
    throw refuse('The token names no subject, or none that can be written down.');
  const role = highestRole(rolesIn(claims[roleClaim]));
  if (role === null)
    throw new OperatorError('operator_forbidden', {
      detail: `The claim "${roleClaim}" of the token holds none of viewer, operator, admin.`,
    });
  const expiresAtMs = exp * 1_000;
  return {
    actor: `jwt:${issuer}|${sub}`,
    method: 'jwt',
    role,
    scopes: scopesFor(role, null),
    expiresAtMs,
    stands: (nowMs) => nowMs < expiresAtMs,
  };
}

export function jwtCheck(options: JwtOptions): CheckBearer {
  return async (token, nowMs) => {
    if (!claimsToBeOurs(token, options.issuer)) return null;
    // Loaded with the first token: a gateway without a provider does without it.
    const { jwtVerify } = await import('jose');
    let claims: Readonly<Record<string, unknown>>;
    try {
      const verified = await jwtVerify(token, options.keys.find, {
        issuer: options.issuer,
        audience: options.audience,
        algorithms: ALGORITHMS,
        clockTolerance: options.clockSkewSeconds,
        currentDate: new Date(nowMs),
        requiredClaims: ['exp', 'sub'],
      });
      claims = verified.payload;
    } catch (error) {
      return refusal(error);
    }
    return principalFrom(claims, options);
  };
}
