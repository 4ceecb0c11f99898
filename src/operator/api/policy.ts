/** The policy in force, and putting another in its place. */
import { isUtf8 } from 'node:buffer';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { PolicyError } from '../../policy/errors.ts';
import { type Fault, YAML_BYTES_MAX } from '../../policy/located-yaml.ts';
import type { PolicySource } from '../../policy/policy-source.ts';
import type { PolicyRow, PolicyRows } from '../../store/database.ts';
import { principalOf } from '../access/principal.ts';
import { OperatorError } from '../errors.ts';
import { checkReachesAll, refreshed } from './agents.ts';
import { InstantView, instant } from './instants.ts';
import { nullable } from './nullable.ts';
import { listOf, PageQuery, pageRequest } from './pagination.ts';
import { expectedVersion, sendVersion } from './preconditions.ts';
import type { OperatorApp } from './route.ts';

export interface PolicyPorts {
  readonly source: Pick<PolicySource, 'current' | 'source' | 'text' | 'check'>;
  readonly row: () => PolicyRow | null;
  readonly rows: PolicyRows;
  readonly refresh: () => Promise<void>;
  readonly reachesAll: () => boolean;
  readonly now: () => number;
}

/** A text of `YAML_BYTES_MAX` in which every character is escaped as JSON may. */
const BODY_BYTES_MAX = 6 * YAML_BYTES_MAX + 4_096;
const YAML = 'application/yaml';

const Policy = Type.Object(
  {
    revision: Type.String({
      description: 'Names what is said, not how it is written: the same on every node.',
    }),
    name: Type.String(),
    rules: Type.Integer(),
    source: Type.Enum(['allow_lists', 'file', 'store'], {
      description: 'What decides: the agents’ allow lists, the file of sage.yaml, or a policy put here.',
    }),
    sequence: Type.Integer({ description: 'Of the last change made here; 0 when there was none.' }),
    text: nullable(Type.String({ description: 'YAML; null while the allow lists decide.' })),
    updated_at: nullable(InstantView),
    updated_by: nullable(Type.String()),
  },
  { title: 'Policy' },
);

const NewPolicy = Type.Object(
  {
    text: Type.String({ minLength: 1, description: 'A PolicySet in YAML.' }),
    note: Type.Optional(Type.String({ maxLength: 500, description: 'Why, for the history.' })),
  },
  { additionalProperties: false, title: 'NewPolicy' },
);

const PolicyFault = Type.Object({ line: Type.Integer(), column: Type.Integer(), message: Type.String() });

const Revision = Type.Object(
  {
    sequence: Type.Integer(),
    revision: Type.String(),
    note: Type.String(),
    text: nullable(Type.String({ description: 'Null in lists, and for a return to what sage.yaml says.' })),
    created_at: InstantView,
    created_by: Type.String(),
  },
  { title: 'PolicyRevision' },
);

function view(ports: PolicyPorts): Static<typeof Policy> {
  const { revision, name, rules } = ports.source.current();
  const row = ports.row();
  return {
    revision,
    name,
    rules,
    source: ports.source.source(),
    sequence: row?.sequence ?? 0,
    text: ports.source.text(),
    updated_at: row === null ? null : instant(row.createdAtMs),
    updated_by: row === null ? null : row.createdBy,
  };
}

function revisionView({
  sequence,
  revision,
  note,
  text,
  createdAtMs,
  createdBy,
}: PolicyRow): Static<typeof Revision> {
  return { sequence, revision, note, text, created_at: instant(createdAtMs), created_by: createdBy };
}

const faultView = ({ line, column, path, message }: Fault) => ({
  line,
  column,
  message: path === '' ? message : `${path}: ${message}`,
});

/** @throws OperatorError policy_invalid, with every fault; store_busy when too many are being checked */
async function checked(ports: PolicyPorts, text: string) {
  try {
    return await ports.source.check(text);
  } catch (error) {
    if (error instanceof PolicyError && error.code === 'policy_checks_busy')
      throw new OperatorError('store_busy', { detail: error.message, headers: ['retry-after', '1'] });
    throw error;
  }
}

async function putInForce(
  ports: PolicyPorts,
  row: Omit<PolicyRow, 'sequence' | 'createdAtMs'>,
  after: number | null,
  reply: FastifyReply,
) {
  checkReachesAll(ports);
  const { sequence } = await ports.rows.insert({ ...row, createdAtMs: ports.now() }, after);
  await refreshed(ports);
  sendVersion(reply, sequence);
  return view(ports);
}

function revisionRoutes(app: OperatorApp, ports: PolicyPorts): void {
  app.get(
    '/policy/revisions',
    {
      config: { scope: 'policy:read' },
      schema: {
        operationId: 'listPolicyRevisions',
        summary: 'The policies that were put in force here, newest first',
        tags: ['policy'],
        querystring: PageQuery,
        response: { 200: listOf(Revision) },
      },
    },
    async (request) => {
      const { items, next } = await ports.rows.list(pageRequest(request.query));
      return { items: items.map(revisionView), next };
    },
  );

  app.get(
    '/policy/revisions/:sequence',
    {
      config: { scope: 'policy:read' },
      schema: {
        operationId: 'getPolicyRevision',
        summary: 'One of them, with its text',
        tags: ['policy'],
        params: Type.Object({ sequence: Type.Integer({ minimum: 1 }) }, { additionalProperties: false }),
        response: { 200: Revision },
      },
    },
    async (request) => {
      const row = await ports.rows.get(request.params.sequence);
      if (row === null) throw new OperatorError('resource_unknown');
      return revisionView(row);
    },
  );
}

function validateRoute(app: OperatorApp, ports: PolicyPorts): void {
  app.post(
    '/policy/validate',
    {
      config: { scope: 'policy:read' },
      bodyLimit: BODY_BYTES_MAX,
      schema: {
        operationId: 'validatePolicy',
        summary: 'Check a policy, its own tests included; changes nothing',
        tags: ['policy'],
        body: NewPolicy,
        response: {
          200: Type.Object({
            valid: Type.Boolean(),
            revision: nullable(Type.String()),
            rules: nullable(Type.Integer()),
            errors: Type.Array(PolicyFault),
          }),
        },
      },
    },
    async (request) => {
      const outcome = await checked(ports, request.body.text);
      if (!outcome.ok)
        return { valid: false, revision: null, rules: null, errors: outcome.faults.map(faultView) };
      const { revision, rules } = outcome.policy;
      return { valid: true, revision, rules, errors: [] };
    },
  );
}

/** As it was written, to the byte; null for what is no UTF-8, which would else be stored as something else. */
function decoded(bytes: Buffer): string | null {
  return isUtf8(bytes) ? bytes.toString('utf8') : null;
}

/** `GET`, `PUT`, `DELETE` /v1/policy; `POST` /v1/policy/validate; `GET` /v1/policy/revisions and one of them. */
export function policyRoutes(app: OperatorApp, ports: PolicyPorts): void {
  app.addContentTypeParser(
    YAML,
    { parseAs: 'buffer', bodyLimit: YAML_BYTES_MAX },
    (_request: FastifyRequest, bytes: Buffer, done: (error: Error | null, body?: unknown) => void) => {
      const text = decoded(bytes);
      if (text === null)
        done(new OperatorError('request_invalid', { errors: [{ path: '', message: 'must be UTF-8' }] }));
      else done(null, { text });
    },
  );

  app.get(
    '/policy',
    {
      config: { scope: 'policy:read' },
      schema: {
        operationId: 'getPolicy',
        summary: 'The policy in force',
        tags: ['policy'],
        response: { 200: Policy },
      },
    },
    (_request, reply) => {
      sendVersion(reply, ports.row()?.sequence ?? 0);
      return view(ports);
    },
  );

  app.put(
    '/policy',
    {
      config: {
        scope: 'policy:write',
        faults: ['policy_invalid', 'shared_store_required', 'resource_changed'],
      },
      bodyLimit: BODY_BYTES_MAX,
      schema: {
        operationId: 'replacePolicy',
        summary: 'Put a policy in force, on every node; one with a fault changes nothing',
        tags: ['policy'],
        body: NewPolicy,
        response: { 200: Policy },
      },
    },
    async (request, reply) => {
      checkReachesAll(ports);
      const { text, note = '' } = request.body;
      const outcome = await checked(ports, text);
      if (!outcome.ok) throw new OperatorError('policy_invalid', { errors: outcome.faults.map(faultView) });
      const { revision } = outcome.policy;
      const createdBy = principalOf(request).actor;
      return putInForce(ports, { revision, text, note, createdBy }, expectedVersion(request), reply);
    },
  );

  app.delete(
    '/policy',
    {
      config: { scope: 'policy:write', faults: ['shared_store_required', 'resource_changed'] },
      schema: {
        operationId: 'resetPolicy',
        summary: 'Go back to what sage.yaml says',
        tags: ['policy'],
        response: { 200: Policy },
      },
    },
    (request, reply) => {
      const createdBy = principalOf(request).actor;
      return putInForce(
        ports,
        { revision: '', text: null, note: '', createdBy },
        expectedVersion(request),
        reply,
      );
    },
  );

  validateRoute(app, ports);
  revisionRoutes(app, ports);
}
