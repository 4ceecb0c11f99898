import { type Static, Type } from 'typebox';
import { InstantView } from './instants.ts';
import { nullable } from './nullable.ts';
import type { OperatorApp } from './route.ts';

const Chain = Type.Object({
  id: Type.Integer(),
  connected: Type.Boolean(),
  head: nullable(Type.Integer()),
  lag_blocks: nullable(Type.Integer()),
});
const Status = Type.Object(
  {
    version: Type.String(),
    node_id: Type.String({ description: 'Drawn at each start.' }),
    started_at: InstantView,
    uptime_s: Type.Integer(),
    origins: Type.Array(Type.String(), { description: 'Under which signatures may name this gateway.' }),
    policy: Type.Object({ revision: Type.String(), source: Type.Enum(['allow_lists', 'file', 'store']) }),
    agents: Type.Integer(),
    store: Type.Object({
      kind: Type.Enum(['sqlite', 'postgresql']),
      connected: Type.Boolean(),
      writable: Type.Boolean(),
    }),
    redis: nullable(Type.Object({ connected: Type.Boolean() })),
    chains: Type.Array(Chain),
    circuits: Type.Object({ open: Type.Integer(), half_open: Type.Integer(), closed: Type.Integer() }),
    open_exchanges: Type.Integer({ description: 'Of proven callers: requests, streams and WebSockets.' }),
    live_nodes: Type.Integer({ description: 'Nodes that Redis knows; 1 without Redis.' }),
  },
  { title: 'Status' },
);

export type StatusView = Static<typeof Status>;

export interface StatusPorts {
  readonly read: () => StatusView;
}

/** `GET /v1/status`: this node at a glance; `/health/detailed` says how its parts are. */
export function statusRoutes(app: OperatorApp, ports: StatusPorts): void {
  app.get(
    '/status',
    {
      config: { scope: 'telemetry:read' },
      schema: {
        operationId: 'getStatus',
        summary: 'This node at a glance',
        tags: ['gateway'],
        response: { 200: Status },
      },
    },
    () => ports.read(),
  );
}
