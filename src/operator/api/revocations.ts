/** DIDs and keys that are denied whatever their documents say. */
import { randomUUID } from 'node:crypto';
import { type Static, Type } from 'typebox';
import type { RevocationRow } from '../../store/database.ts';
import { parseKeyId } from '../../trust/did/did-url.ts';
import { DidError } from '../../trust/did/errors.ts';
import { REVOCATIONS_MAX, type StoredDenials } from '../../trust/did/stored-denials.ts';
import { principalOf } from '../access/principal.ts';
import { OperatorError } from '../errors.ts';
import { checkReachesAll } from './agents.ts';
import { InstantView, instant, instantOrNull, instantSchema, readFuture } from './instants.ts';
import { nullable } from './nullable.ts';
import { listOf, PageQuery, pageFromEnd, pageRequest } from './pagination.ts';
import type { OperatorApp } from './route.ts';

export interface RevocationPorts {
  readonly denials: StoredDenials;
  readonly reachesAll: () => boolean;
  readonly now: () => number;
}

const DID_LENGTH_MAX = 512;
const revocation = {
  id: Type.String(),
  did: Type.String(),
  key_id: nullable(Type.String({ description: 'Null: every key of the DID.' })),
  reason: Type.String(),
  created_at: InstantView,
  created_by: Type.String(),
  expires_at: nullable(InstantView),
};
const Revocation = Type.Object(revocation, { title: 'Revocation' });
const Made = Type.Object(
  {
    ...revocation,
    closed: Type.Integer({ description: 'Exchanges that were open on this node and are closed now.' }),
  },
  { title: 'RevocationMade' },
);

const NewRevocation = Type.Object(
  {
    did: Type.Optional(
      Type.String({ minLength: 1, maxLength: DID_LENGTH_MAX, description: 'Denies every key of it.' }),
    ),
    key_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: DID_LENGTH_MAX,
        description: 'Denies this key: its absolute DID URL.',
      }),
    ),
    reason: Type.Optional(Type.String({ maxLength: 500 })),
    expires_at: Type.Optional(
      nullable(instantSchema('When it ends by itself; left out: when it is lifted.')),
    ),
  },
  { additionalProperties: false, title: 'NewRevocation' },
);

const Id = Type.Object({ id: Type.String({ maxLength: 64 }) }, { additionalProperties: false });

function view(row: RevocationRow): Static<typeof Revocation> {
  return {
    id: row.id,
    did: row.did,
    key_id: row.keyId,
    reason: row.reason,
    created_at: instant(row.createdAtMs),
    created_by: row.createdBy,
    expires_at: instantOrNull(row.expiresAtMs),
  };
}

/** As the rows are sorted. */
const sortKey = ({ createdAtMs, id }: RevocationRow): string =>
  `${String(createdAtMs).padStart(15, '0')} ${id}`;

function invalid(path: string, message: string): OperatorError {
  return new OperatorError('revocation_invalid', { errors: [{ path, message }] });
}

/** What is denied. @throws OperatorError revocation_invalid */
function subjectOf({ did, key_id: keyId }: Static<typeof NewRevocation>): {
  did: string;
  keyId: string | null;
} {
  if ((did === undefined) === (keyId === undefined)) throw invalid('', 'give either did or key_id');
  const [path, text] = did === undefined ? ['/key_id', keyId ?? ''] : ['/did', did];
  try {
    const parsed = parseKeyId(text);
    if (did !== undefined && parsed.fragment !== null)
      throw invalid(path, 'has a fragment: give it as key_id');
    if (did === undefined && parsed.fragment === null) throw invalid(path, 'has no fragment: give it as did');
    // In its one spelling, whatever was typed: another would be denied and nobody be meant.
    return { did: parsed.did, keyId: did === undefined ? parsed.text : null };
  } catch (error) {
    if (error instanceof DidError) throw invalid(path, error.message);
    throw error;
  }
}

/** `GET`, `POST` /v1/revocations; `GET`, `DELETE` /v1/revocations/{id}. */
export function revocationRoutes(app: OperatorApp, ports: RevocationPorts): void {
  app.get(
    '/revocations',
    {
      config: { scope: 'revocations:read' },
      schema: {
        operationId: 'listRevocations',
        summary: 'Who is denied',
        tags: ['revocations'],
        querystring: PageQuery,
        response: { 200: listOf(Revocation) },
      },
    },
    (request) => {
      // From memory: who is denied can be asked while the database is away.
      const { items, next } = pageFromEnd(ports.denials.rows(), sortKey, pageRequest(request.query));
      return { items: items.map(view), next };
    },
  );

  app.get(
    '/revocations/:id',
    {
      config: { scope: 'revocations:read' },
      schema: {
        operationId: 'getRevocation',
        summary: 'One of them',
        tags: ['revocations'],
        params: Id,
        response: { 200: Revocation },
      },
    },
    (request) => {
      const row = ports.denials.rows().find(({ id }) => id === request.params.id);
      if (row === undefined) throw new OperatorError('resource_unknown');
      return view(row);
    },
  );

  app.post(
    '/revocations',
    {
      config: {
        scope: 'revocations:write',
        faults: ['revocation_invalid', 'resource_exists', 'resource_limit_reached', 'shared_store_required'],
      },
      schema: {
        operationId: 'revoke',
        summary: 'Deny a DID or a key now, and close what it has open, on every node',
        tags: ['revocations'],
        body: NewRevocation,
        response: { 201: Made },
      },
    },
    async (request, reply) => {
      checkReachesAll(ports);
      const nowMs = ports.now();
      const row: RevocationRow = {
        id: randomUUID(),
        ...subjectOf(request.body),
        reason: request.body.reason ?? '',
        createdAtMs: nowMs,
        createdBy: principalOf(request).actor,
        expiresAtMs: readFuture(request.body.expires_at, '/expires_at', nowMs),
      };
      if (ports.denials.rows().length >= REVOCATIONS_MAX) throw new OperatorError('resource_limit_reached');
      const closed = await ports.denials.add(row);
      reply.code(201).header('location', `/v1/revocations/${row.id}`);
      return { ...view(row), closed };
    },
  );

  app.delete(
    '/revocations/:id',
    {
      config: { scope: 'revocations:write', faults: ['shared_store_required'] },
      schema: {
        operationId: 'liftRevocation',
        summary: 'End a denial',
        tags: ['revocations'],
        params: Id,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      checkReachesAll(ports);
      await ports.denials.remove(request.params.id);
      return reply.code(204).send(null);
    },
  );
}
