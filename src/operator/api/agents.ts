import { Type } from 'typebox';
import type { AgentDefinition } from '../../agents/registry.ts';
import type { OperatorApp } from './route.ts';

/** What of an agent's definition is shown. */
export type AgentView = Pick<AgentDefinition, 'id' | 'did' | 'upstreams' | 'authentication'>;

export interface AgentPorts {
  readonly list: () => readonly AgentView[];
}

const Agent = Type.Object({
  id: Type.String(),
  did: Type.Union([Type.String(), Type.Null()]),
  authentication: Type.String(),
  upstreams: Type.Array(
    Type.Object({ origin: Type.Union([Type.String(), Type.Null()]), protocol: Type.String() }),
  ),
});

/** A definition holds origins already; what is not one is not shown, since paths and userinfo carry secrets. */
function originOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).origin : null;
}

/** `GET /v1/agents`: the agents of the configuration in force. */
export function agentRoutes(app: OperatorApp, ports: AgentPorts): void {
  app.get(
    '/agents',
    {
      config: { scope: 'agents:read' },
      schema: {
        operationId: 'listAgents',
        summary: 'The agents in force',
        tags: ['agents'],
        response: { 200: Type.Object({ items: Type.Array(Agent) }) },
      },
    },
    () => ({
      items: ports.list().map(({ id, did, upstreams, authentication }) => ({
        id,
        did: did ?? null,
        authentication,
        upstreams: upstreams.map(({ url, protocol }) => ({ origin: originOf(url), protocol })),
      })),
    }),
  );
}
