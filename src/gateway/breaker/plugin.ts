import { performance } from 'node:perf_hooks';
import fp from 'fastify-plugin';
import { CIRCUIT_DEFAULTS, type CircuitSettings, type Circuits, createCircuits } from './circuit.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** One circuit per instance: opened by routing, entered by the proxy, listed for the operator. */
    circuits: Circuits;
  }
}

export default fp<Partial<CircuitSettings>>(
  async (app, options) => {
    const circuits = createCircuits({ ...CIRCUIT_DEFAULTS, ...options }, () => performance.now());
    app.decorate('circuits', circuits);
    app.addHook('onClose', async () => circuits.shutdown());
  },
  { name: 'sage-breaker', fastify: '5.x' },
);
