import fp from 'fastify-plugin';
import { createRegistry, type Registry } from '../../agents/registry.ts';
import type { Instance } from './instance.ts';
import { type PickInstance, pickInstance } from './pick.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** The agents served here; `agents.replace(definitions)` loads them, at start and on each reload. */
    agents: Registry<Instance>;
    pickInstance: PickInstance;
  }
}

/** Starts with no agents: opening an instance takes the breaker and the proxy, which register after this. */
export default fp(
  async (app) => {
    const agents = createRegistry<Instance>({
      open: (agent, upstream) => ({
        agentId: agent.id,
        origin: upstream.url,
        upstream,
        circuit: app.circuits.open(agent.id, upstream.url),
        pool: app.upstreams.open(upstream, agent.timeouts),
      }),
      close(instance) {
        app.circuits.close(instance.circuit);
        app.upstreams.close(instance.pool);
      },
    });
    app.decorate('agents', agents);
    app.decorate('pickInstance', pickInstance);
  },
  { name: 'sage-routing', fastify: '5.x' },
);
