/** The agents behind the gateway: those of `sage.yaml`, which wins, and those that are added here. */
import { Type } from 'typebox';
import { AgentSchema } from '../../agents/entry.ts';
import { AGENTS_MAX, type MergedAgents, type ReadAgent } from '../../agents/stored-agents.ts';
import type { AgentRow, AgentRows } from '../../store/database.ts';
import { RowChanged } from '../../store/errors.ts';
import { principalOf } from '../access/principal.ts';
import { OperatorError } from '../errors.ts';
import { Agent, fileView, ofFile, storedView } from './agent-view.ts';
import { nullable } from './nullable.ts';
import { listOf, PageQuery, pageOf, pageRequest } from './pagination.ts';
import { expectedVersion, sendVersion } from './preconditions.ts';
import type { OperatorApp } from './route.ts';

export interface AgentPorts {
  readonly merged: () => MergedAgents;
  readonly read: (value: unknown) => ReadAgent;
  readonly rows: AgentRows;
  /** Resolves once what was written is served here. */
  readonly refresh: () => Promise<void>;
  /** False while other nodes run that would not hear of a change. */
  readonly reachesAll: () => boolean;
  readonly now: () => number;
}

/** How often a patch without If-Match is made anew before its caller hears of the others. */
const PATCH_TRIES = 5;

/** RFC 7396: a member that is null goes back to its default. */
const Patch = Type.Object(
  Object.fromEntries(
    Object.entries(AgentSchema.properties)
      .filter(([name]) => name !== 'id')
      .map(([name, schema]) => [name, Type.Optional(nullable(schema))]),
  ),
  { additionalProperties: false, title: 'AgentPatch' },
);

const Id = Type.Object({ id: Type.String({ maxLength: 63 }) }, { additionalProperties: false });

function rowView(ports: AgentPorts, row: AgentRow) {
  const read = ports.read(JSON.parse(row.definition));
  const shadowed = ofFile(ports.merged()).some(({ id }) => id === row.id);
  return storedView({ row, definition: read.ok ? read.definition : null, fault: '', shadowed });
}

/** @throws OperatorError agent_invalid, with every fault */
function readEntry(ports: AgentPorts, value: unknown): string {
  const read = ports.read(value);
  if (read.ok) return JSON.stringify(read.entry);
  const errors = read.faults.map(({ path, message }) => ({ path: `/${path.join('/')}`, message }));
  throw new OperatorError('agent_invalid', { errors });
}

/** @throws OperatorError agent_from_file */
function checkNotFromFile(ports: AgentPorts, id: string): void {
  if (ofFile(ports.merged()).some((agent) => agent.id === id)) throw new OperatorError('agent_from_file');
}

/** @throws OperatorError shared_store_required */
export function checkReachesAll(ports: { readonly reachesAll: () => boolean }): void {
  if (!ports.reachesAll()) throw new OperatorError('shared_store_required');
}

function merged(entry: Readonly<Record<string, unknown>>, patch: Readonly<Record<string, unknown>>) {
  const next: Record<string, unknown> = { ...entry };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete next[name];
    else next[name] = value;
  }
  return next;
}

const faults = ['agent_invalid', 'agent_from_file', 'shared_store_required'] as const;

function reading(app: OperatorApp, ports: AgentPorts): void {
  app.get(
    '/agents',
    {
      config: { scope: 'agents:read' },
      schema: {
        operationId: 'listAgents',
        summary: 'The agents behind the gateway',
        tags: ['agents'],
        querystring: PageQuery,
        response: { 200: listOf(Agent) },
      },
    },
    (request) => {
      const all = ports.merged();
      const views = [...ofFile(all).map(fileView), ...all.stored.map(storedView)];
      return pageOf(views, ({ id, source }) => `${id} ${source}`, pageRequest(request.query));
    },
  );

  app.get(
    '/agents/:id',
    {
      config: { scope: 'agents:read' },
      schema: {
        operationId: 'getAgent',
        summary: 'One agent',
        tags: ['agents'],
        params: Id,
        response: { 200: Agent },
      },
    },
    (request, reply) => {
      const { id } = request.params;
      const all = ports.merged();
      const definition = ofFile(all).find((agent) => agent.id === id);
      if (definition !== undefined) return fileView(definition);
      const stored = all.stored.find(({ row }) => row.id === id);
      if (stored === undefined) throw new OperatorError('resource_unknown');
      sendVersion(reply, stored.row.version);
      return storedView(stored);
    },
  );
}

function adding(app: OperatorApp, ports: AgentPorts): void {
  app.post(
    '/agents',
    {
      config: { scope: 'agents:write', faults: [...faults, 'resource_exists', 'resource_limit_reached'] },
      schema: {
        operationId: 'addAgent',
        summary: 'Serve one more agent, on every node, without a restart',
        tags: ['agents'],
        body: AgentSchema,
        response: { 201: Agent },
      },
    },
    async (request, reply) => {
      checkReachesAll(ports);
      const { id } = request.body;
      const definition = readEntry(ports, request.body);
      checkNotFromFile(ports, id);
      const { definitions, stored } = ports.merged();
      if (Math.max(definitions.length, stored.length) >= AGENTS_MAX)
        throw new OperatorError('resource_limit_reached');
      const row = await ports.rows.insert(id, definition, principalOf(request).actor, ports.now());
      await refreshed(ports);
      sendVersion(reply, row.version);
      reply.code(201).header('location', `/v1/agents/${id}`);
      return rowView(ports, row);
    },
  );
}

function changing(app: OperatorApp, ports: AgentPorts): void {
  app.put(
    '/agents/:id',
    {
      config: { scope: 'agents:write', faults: [...faults, 'resource_changed'] },
      schema: {
        operationId: 'replaceAgent',
        summary: 'Replace an agent that was added',
        tags: ['agents'],
        params: Id,
        body: AgentSchema,
        response: { 200: Agent },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      if (request.body.id !== id)
        throw new OperatorError('agent_invalid', {
          errors: [{ path: '/id', message: `must be ${id}, as in the path` }],
        });
      const row = await change(
        ports,
        id,
        readEntry(ports, request.body),
        expectedVersion(request),
        principalOf(request).actor,
      );
      sendVersion(reply, row.version);
      return rowView(ports, row);
    },
  );

  app.patch(
    '/agents/:id',
    {
      config: { scope: 'agents:write', faults: [...faults, 'resource_changed'] },
      schema: {
        operationId: 'changeAgent',
        summary: 'Change some settings of an agent that was added (RFC 7396)',
        tags: ['agents'],
        params: Id,
        body: Patch,
        response: { 200: Agent },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      checkNotFromFile(ports, id);
      const row = await patched(
        ports,
        id,
        request.body,
        expectedVersion(request),
        principalOf(request).actor,
      );
      sendVersion(reply, row.version);
      return rowView(ports, row);
    },
  );
}

/**
 * Made from what is read now; when somebody else changes it in between, made anew, so that neither change is lost.
 * @throws RowChanged at once with a version, else when others changed it again and again
 */
async function patched(
  ports: AgentPorts,
  id: string,
  patch: Readonly<Record<string, unknown>>,
  version: number | null,
  actor: string,
): Promise<AgentRow> {
  for (let tries = 1; ; tries++) {
    const before = await ports.rows.get(id);
    if (before === null) throw new OperatorError('resource_unknown');
    const definition = readEntry(ports, merged(entryOf(before), patch));
    try {
      return await change(ports, id, definition, version ?? before.version, actor);
    } catch (error) {
      if (!(error instanceof RowChanged) || version !== null || tries === PATCH_TRIES) throw error;
    }
  }
}

/** A row that holds no JSON can be mended by a patch that names everything. */
function entryOf(row: AgentRow): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(row.definition);
    return typeof value === 'object' && value !== null ? { ...value, id: row.id } : { id: row.id };
  } catch {
    return { id: row.id };
  }
}

function removing(app: OperatorApp, ports: AgentPorts): void {
  app.delete(
    '/agents/:id',
    {
      config: {
        scope: 'agents:write',
        faults: ['agent_from_file', 'shared_store_required', 'resource_changed'],
      },
      schema: {
        operationId: 'removeAgent',
        summary: 'Stop serving an agent that was added; requests under way end as they began',
        tags: ['agents'],
        params: Id,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      checkReachesAll(ports);
      const { id } = request.params;
      // One that the file shadows can be removed; one that is only in the file cannot.
      if (!ports.merged().stored.some(({ row }) => row.id === id)) checkNotFromFile(ports, id);
      await ports.rows.remove(id, expectedVersion(request));
      await refreshed(ports);
      return reply.code(204).send(null);
    },
  );
}

/** `GET`, `POST` /v1/agents; `GET`, `PUT`, `PATCH`, `DELETE` /v1/agents/{id}. */
export function agentRoutes(app: OperatorApp, ports: AgentPorts): void {
  const parser = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/merge-patch+json', { parseAs: 'string' }, parser);
  reading(app, ports);
  adding(app, ports);
  changing(app, ports);
  removing(app, ports);
}

async function change(
  ports: AgentPorts,
  id: string,
  definition: string,
  version: number | null,
  actor: string,
): Promise<AgentRow> {
  checkReachesAll(ports);
  checkNotFromFile(ports, id);
  const row = await ports.rows.update(id, definition, version, actor, ports.now());
  await refreshed(ports);
  return row;
}

/** It is written, so it holds: a reading that fails is logged and tried again by who follows the rows. */
export async function refreshed({ refresh }: { readonly refresh: () => Promise<void> }): Promise<void> {
  try {
    await refresh();
  } catch {
    return;
  }
}
