/** The circuits of the agents' instances. */
import { type Static, Type } from 'typebox';
import type { CircuitStanding } from '../../gateway/breaker/circuit.ts';
import { OperatorError } from '../errors.ts';
import { InstantView, instant } from './instants.ts';
import { listOf, PageQuery, pageOf, pageRequest } from './pagination.ts';
import type { OperatorApp } from './route.ts';

export interface CircuitPorts {
  readonly list: () => readonly CircuitStanding[];
  /** Closes an instance's circuit; false when there is none of that name. */
  readonly reset: (agentId: string, instance: string) => boolean;
}

const Circuit = Type.Object(
  {
    agent_id: Type.String(),
    instance: Type.String({ description: 'Its origin.' }),
    state: Type.Enum(['closed', 'half-open', 'open']),
    since: InstantView,
  },
  { title: 'Circuit' },
);

const Named = Type.Object(
  { agent_id: Type.String({ maxLength: 63 }), instance: Type.String({ maxLength: 300 }) },
  { additionalProperties: false, title: 'CircuitName' },
);

function view({ agentId, instance, state, sinceMs }: CircuitStanding): Static<typeof Circuit> {
  return { agent_id: agentId, instance, state, since: instant(sinceMs) };
}

/** `GET` /v1/circuits; `POST` /v1/circuits/close. */
export function circuitRoutes(app: OperatorApp, ports: CircuitPorts): void {
  app.get(
    '/circuits',
    {
      config: { scope: 'circuits:read' },
      schema: {
        operationId: 'listCircuits',
        summary: 'The state of every instance’s circuit on this node',
        tags: ['circuits'],
        querystring: PageQuery,
        response: { 200: listOf(Circuit) },
      },
    },
    (request) => {
      // Two of one instance, for both protocols, stand beside each other.
      const key = (circuit: CircuitStanding, at: number): string =>
        `${circuit.agentId} ${circuit.instance} ${String(at).padStart(6, '0')}`;
      const keyed = ports.list().map((circuit, at) => ({ key: key(circuit, at), circuit }));
      const { items, next } = pageOf(keyed, (item) => item.key, pageRequest(request.query));
      return { items: items.map(({ circuit }) => view(circuit)), next };
    },
  );

  app.post(
    '/circuits/close',
    {
      config: { scope: 'circuits:write' },
      schema: {
        operationId: 'closeCircuit',
        summary: 'Close an instance’s circuit on this node, and forget the failures that opened it',
        tags: ['circuits'],
        body: Named,
        response: { 200: Type.Object({ items: Type.Array(Circuit) }) },
      },
    },
    (request) => {
      const { agent_id: agentId, instance } = request.body;
      if (!ports.reset(agentId, instance)) throw new OperatorError('resource_unknown');
      const named = ports.list().filter((one) => one.agentId === agentId && one.instance === instance);
      return { items: named.map(view) };
    },
  );
}
