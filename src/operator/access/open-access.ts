/** Everything that opens the guarded routes, put together. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Database } from '../../store/database.ts';
import type { StoreLog } from '../../store/redis/connection.ts';
import { type ApiKeys, openApiKeys } from './api-keys.ts';
import { bootstrapKey } from './bootstrap.ts';
import { type CheckBearer, createGuard, type Guard } from './guard.ts';
import { jwtCheck } from './jwt.ts';
import { providerKeys } from './provider-keys.ts';
import { type Identify, type Operator, signedBy } from './signed.ts';

/** What opens the guarded routes, by configuration. */
export interface AccessOptions {
  /** OPERATOR_API_KEY; null: guarded routes answer 403 unless something else opens them. */
  readonly apiKey: string | null;
  /** Only with `SAGE_ENV=development`: this machine needs no credential. */
  readonly openOnLoopback: boolean;
  /** Whose tokens are taken; null: nobody's. */
  readonly oidc: { readonly issuer: string; readonly audience: string; readonly roleClaim: string } | null;
  readonly clockSkewSeconds: number;
  /** `operators` of sage.yaml, as it is now. */
  readonly operators: () => readonly Operator[];
  /** Null: requests are not proven by signature. */
  readonly identify: Identify | null;
  /** Tells a client that waits to be asked for its body to send it. */
  readonly proceed: (request: FastifyRequest, reply: FastifyReply) => void;
}

export interface Access {
  readonly guard: Guard;
  /** Null where no store is open. */
  readonly keys: ApiKeys | null;
  /** Whether somebody could administer the gateway without the API key of this id. */
  readonly adminWithout: (keyId: string) => boolean;
  close(): Promise<void>;
}

export interface AccessParts {
  readonly database: Pick<Database, 'apiKeys' | 'onChange'> | null;
  readonly addressOf: (request: FastifyRequest) => string;
  readonly log: StoreLog;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** @throws what the first reading of the API keys fails with */
export async function openAccess(options: AccessOptions, parts: AccessParts): Promise<Access> {
  const { apiKey, oidc, operators, identify } = options;
  const { database, addressOf, log, now } = parts;
  const keys = database === null ? null : await openApiKeys({ database, log, now });
  const openOnLoopback = options.openOnLoopback && apiKey === null;
  const bearer: CheckBearer[] = [];
  if (apiKey !== null) bearer.push(bootstrapKey(apiKey));
  if (keys !== null) bearer.push(keys.check);
  if (oidc !== null) {
    const fromProvider = providerKeys(oidc.issuer, now, (error) =>
      log.warn(
        { issuer: oidc.issuer, fault: error.message },
        'the keys of the identity provider cannot be read',
      ),
    );
    bearer.push(jwtCheck({ ...oidc, clockSkewSeconds: options.clockSkewSeconds, keys: fromProvider }));
  }
  const guard = createGuard({
    bearer,
    signature: identify === null ? null : signedBy(identify, operators),
    openOnLoopback,
    configured: () =>
      apiKey !== null || oidc !== null || operators().length > 0 || (keys?.live(now()).length ?? 0) > 0,
    addressOf,
    proceed: options.proceed,
    now,
  });
  return {
    guard,
    keys,
    adminWithout(keyId) {
      if (apiKey !== null || oidc !== null || openOnLoopback) return true;
      if (operators().some(({ role }) => role === 'admin')) return true;
      // One that is narrowed cannot make another that may all; one that expires leaves nobody behind.
      const others = keys?.live(now()).filter(({ id }) => id !== keyId) ?? [];
      return others.some(
        ({ role, scopes, expiresAtMs }) => role === 'admin' && scopes === null && expiresAtMs === null,
      );
    },
    close: async () => keys?.close(),
  };
}
