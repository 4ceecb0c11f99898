/** API keys of operators: made, rotated and revoked. A secret is shown once, in the answer that made it. */
import { type Static, Type } from 'typebox';
import type { ApiKeyRow, ApiKeyRows } from '../../store/database.ts';
import { API_KEYS_MAX, type ApiKeys, newApiKey } from '../access/api-keys.ts';
import {
  isRole,
  type Principal,
  principalOf,
  ROLES,
  type Role,
  SCOPES,
  type Scope,
  scopesFor,
} from '../access/principal.ts';
import { OperatorError } from '../errors.ts';
import { checkReachesAll } from './agents.ts';
import { InstantView, instant, instantOrNull, instantSchema, readFuture } from './instants.ts';
import { nullable } from './nullable.ts';
import { listOf, PageQuery, pageRequest } from './pagination.ts';
import type { OperatorApp } from './route.ts';

export interface ApiKeyPorts {
  readonly keys: ApiKeys;
  readonly rows: ApiKeyRows;
  /** Whether somebody could administer the gateway without the key of this id. */
  readonly adminWithout: (id: string) => boolean;
  readonly reachesAll: () => boolean;
  readonly now: () => number;
}

/** How long the old secret goes on when nothing else is said, and at most: long enough to roll a fleet over, not for ever. */
const GRACE_DEFAULT_S = 86_400;
const GRACE_MAX_S = 2_592_000;

const apiKey = {
  id: Type.String({ examples: ['sage_4fK2c9QxYw1B'] }),
  name: Type.String({ examples: ['grafana'] }),
  role: Type.String({ description: 'viewer, operator or admin.' }),
  scopes: nullable(Type.Array(Type.String(), { description: 'What narrows the role; null: nothing does.' })),
  created_at: InstantView,
  created_by: Type.String(),
  expires_at: nullable(InstantView),
  revoked_at: nullable(InstantView),
  last_used_at: nullable(Type.String({ format: 'date-time', description: 'To the minute.' })),
  rotating_until: nullable(
    Type.String({ format: 'date-time', description: 'Until when the secret before this one is taken too.' }),
  ),
};
const ApiKey = Type.Object(apiKey, { title: 'ApiKey' });
const ApiKeyMade = Type.Object(
  {
    ...apiKey,
    key: nullable(
      Type.String({
        description: 'What to send as `Authorization: Bearer …`. Shown once; null in a replay.',
      }),
    ),
  },
  { title: 'ApiKeyMade' },
);
const NewKey = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\p{Cc}]+$', examples: ['grafana'] }),
    role: Type.Enum([...ROLES]),
    scopes: Type.Optional(
      nullable(
        Type.Array(Type.Enum([...SCOPES]), {
          minItems: 1,
          maxItems: SCOPES.length,
          uniqueItems: true,
          description: 'Narrows the role to these; left out: all that the role may.',
        }),
      ),
    ),
    expires_at: Type.Optional(nullable(instantSchema('When it ends by itself; left out: never.'))),
  },
  { additionalProperties: false, title: 'NewApiKey' },
);
const Rotation = Type.Union(
  [
    Type.Object(
      {
        grace_seconds: Type.Optional(
          Type.Integer({
            minimum: 0,
            maximum: GRACE_MAX_S,
            default: GRACE_DEFAULT_S,
            description: 'How long the old secret is still taken.',
          }),
        ),
      },
      { additionalProperties: false },
    ),
    Type.Null(),
  ],
  { title: 'Rotation', description: 'May be left out.' },
);
const Id = Type.Object({ id: Type.String({ maxLength: 64 }) }, { additionalProperties: false });

function view(row: ApiKeyRow, nowMs: number): Static<typeof ApiKey> {
  const oldUntilMs = row.secrets[1]?.expiresAtMs ?? null;
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    scopes: row.scopes === null ? null : [...row.scopes],
    created_at: instant(row.createdAtMs),
    created_by: row.createdBy,
    expires_at: instantOrNull(row.expiresAtMs),
    revoked_at: instantOrNull(row.revokedAtMs),
    last_used_at: instantOrNull(row.lastUsedAtMs),
    rotating_until: oldUntilMs !== null && nowMs < oldUntilMs ? instant(oldUntilMs) : null,
  };
}

/** Nobody hands out, or takes over by rotating it, more than he has. @throws OperatorError operator_forbidden */
function checkWithin(principal: Principal, role: string, scopes: readonly string[] | null): void {
  // A role of a later release is more than anybody here has.
  if (!isRole(role)) throw new OperatorError('operator_forbidden');
  const beyond = [...scopesFor(role, scopes)].filter((scope) => !principal.scopes.has(scope));
  if (ROLES.indexOf(role) <= ROLES.indexOf(principal.role) && beyond.length === 0) return;
  throw new OperatorError('operator_forbidden', {
    detail:
      beyond.length === 0
        ? `A key of the role ${role} is more than your own.`
        : `The key would have scopes that you have not: ${beyond.join(', ')}.`,
  });
}

/** @throws OperatorError request_invalid for scopes that the role does not have, which would narrow it to nothing */
function checkOfRole(role: Role, scopes: readonly Scope[] | null): void {
  const all = scopesFor(role, null);
  const errors = (scopes ?? []).flatMap((scope, index) =>
    all.has(scope) ? [] : [{ path: `/scopes/${index}`, message: `is no scope of the role ${role}` }],
  );
  if (errors.length > 0) throw new OperatorError('request_invalid', { errors });
}

async function rowOf(rows: ApiKeyRows, id: string): Promise<ApiKeyRow> {
  const row = await rows.get(id);
  if (row === null) throw new OperatorError('resource_unknown');
  return row;
}

async function create(ports: ApiKeyPorts, by: Principal, wanted: Static<typeof NewKey>) {
  const scopes = wanted.scopes ?? null;
  const nowMs = ports.now();
  checkOfRole(wanted.role, scopes);
  checkWithin(by, wanted.role, scopes);
  if (ports.keys.live(nowMs).length >= API_KEYS_MAX) throw new OperatorError('resource_limit_reached');
  const { id, text, hash } = newApiKey();
  const row = {
    id,
    name: wanted.name,
    role: wanted.role,
    scopes,
    secrets: [{ hash, expiresAtMs: null }],
    createdAtMs: nowMs,
    createdBy: by.actor,
    expiresAtMs: readFuture(wanted.expires_at, '/expires_at', nowMs),
  };
  await ports.keys.add(row);
  return { ...view({ ...row, revokedAtMs: null, lastUsedAtMs: null }, nowMs), key: text };
}

/** `GET` /v1/api-keys and /v1/api-keys/{id}. */
function readRoutes(app: OperatorApp, ports: ApiKeyPorts): void {
  app.get(
    '/api-keys',
    {
      config: { scope: 'keys:read' },
      schema: {
        operationId: 'listApiKeys',
        summary: 'The API keys, revoked ones included',
        tags: ['api-keys'],
        querystring: PageQuery,
        response: { 200: listOf(ApiKey) },
      },
    },
    async (request) => {
      const { items, next } = await ports.rows.list(pageRequest(request.query));
      return { items: items.map((row) => view(row, ports.now())), next };
    },
  );
  app.get(
    '/api-keys/:id',
    {
      config: { scope: 'keys:read' },
      schema: {
        operationId: 'getApiKey',
        summary: 'One of them',
        tags: ['api-keys'],
        params: Id,
        response: { 200: ApiKey },
      },
    },
    async (request) => view(await rowOf(ports.rows, request.params.id), ports.now()),
  );
}

/** `POST` /v1/api-keys and /v1/api-keys/{id}/rotate. */
function secretRoutes(app: OperatorApp, ports: ApiKeyPorts): void {
  app.post(
    '/api-keys',
    {
      config: {
        scope: 'keys:write',
        secretMembers: ['key'],
        faults: ['resource_limit_reached', 'shared_store_required'],
      },
      schema: {
        operationId: 'createApiKey',
        summary: 'Make a key; its secret is in this answer and nowhere else',
        tags: ['api-keys'],
        body: NewKey,
        response: { 201: ApiKeyMade },
      },
    },
    async (request, reply) => {
      checkReachesAll(ports);
      const made = await create(ports, principalOf(request), request.body);
      reply.code(201).header('location', `/v1/api-keys/${made.id}`);
      return made;
    },
  );
  app.post(
    '/api-keys/:id/rotate',
    {
      config: { scope: 'keys:write', secretMembers: ['key'], faults: ['shared_store_required'] },
      schema: {
        operationId: 'rotateApiKey',
        summary: 'Give a key a new secret, and let the old one live for a while',
        tags: ['api-keys'],
        params: Id,
        body: Rotation,
        response: { 200: ApiKeyMade },
      },
    },
    async (request) => {
      checkReachesAll(ports);
      const { id } = request.params;
      const row = await rowOf(ports.rows, id);
      checkWithin(principalOf(request), row.role, row.scopes);
      const nowMs = ports.now();
      const graceMs = 1_000 * (request.body?.grace_seconds ?? GRACE_DEFAULT_S);
      const { text, hash } = newApiKey(id);
      const rotated = await ports.keys.rotate(id, { hash, expiresAtMs: null }, nowMs + graceMs);
      return { ...view(rotated, nowMs), key: text };
    },
  );
}

/** The resource `api-keys`. */
export function apiKeyRoutes(app: OperatorApp, ports: ApiKeyPorts): void {
  readRoutes(app, ports);
  secretRoutes(app, ports);
  app.delete(
    '/api-keys/:id',
    {
      config: { scope: 'keys:write', faults: ['last_admin', 'shared_store_required'] },
      schema: {
        operationId: 'revokeApiKey',
        summary: 'End a key now, on every node, open event streams included',
        tags: ['api-keys'],
        params: Id,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      checkReachesAll(ports);
      const { id } = request.params;
      const row = await rowOf(ports.rows, id);
      checkWithin(principalOf(request), row.role, row.scopes);
      if (row.role === 'admin' && row.revokedAtMs === null && !ports.adminWithout(id))
        throw new OperatorError('last_admin');
      await ports.keys.revoke(id, ports.now());
      return reply.code(204).send(null);
    },
  );
}
