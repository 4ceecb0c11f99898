import type { FastifyInstance } from 'fastify';
import type { AgentDefinition } from '../../agents/registry.ts';

/** What of an agent's definition is shown. */
export type AgentView = Pick<AgentDefinition, 'id' | 'did' | 'upstreams' | 'authentication'>;

/** A definition holds origins already; what is not one is not shown, since paths and userinfo carry secrets. */
function originOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).origin : null;
}

/** `GET /v1/agents`: the agents of the configuration in force. */
export function agentRoutes(app: FastifyInstance, agents: () => readonly AgentView[]): void {
  app.get('/v1/agents', () => ({
    items: agents().map(({ id, did, upstreams, authentication }) => ({
      id,
      did: did ?? null,
      authentication,
      upstreams: upstreams.map(({ url, protocol }) => ({ origin: originOf(url), protocol })),
    })),
  }));
}
