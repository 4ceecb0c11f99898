import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { CircuitView } from '../gateway/breaker/circuit.ts';
import { type AgentView, agentRoutes } from './api/agents.ts';
import { circuitRoutes } from './api/circuits.ts';
import { createGuard } from './api/guard.ts';
import { detailedHealthRoutes, openHealthRoutes } from './api/health.ts';
import { metricsRoutes } from './api/metrics.ts';
import type { Health } from './telemetry/health.ts';
import type { Metrics } from './telemetry/metrics.ts';

export interface OperatorOptions {
  /** OPERATOR_API_KEY; null: guarded routes answer 403 unless `openOnLoopback`. */
  readonly apiKey: string | null;
  /** Only with `SAGE_ENV=development`. */
  readonly openOnLoopback: boolean;
  /** Who is asking, trusted proxies left out; the other end of the connection when absent. */
  readonly addressOf?: (request: FastifyRequest) => string;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly circuits: () => readonly CircuitView[];
  readonly agents: () => readonly AgentView[];
}

/** The operators' routes. Readiness fails as soon as the server begins to close. */
function operator(app: FastifyInstance, options: OperatorOptions, done: () => void): void {
  openHealthRoutes(app, options.health);
  const guard = createGuard({
    apiKey: options.apiKey,
    openOnLoopback: options.openOnLoopback,
    addressOf: options.addressOf ?? ((request) => request.ip),
    now: () => Date.now(),
  });
  // A scope of its own, so that no guarded route can be added without the guard.
  app.register((guarded, _options, ready) => {
    guarded.addHook('onRequest', guard);
    detailedHealthRoutes(guarded, options.health);
    metricsRoutes(guarded, options.metrics);
    circuitRoutes(guarded, options.circuits);
    agentRoutes(guarded, options.agents);
    ready();
  });
  app.addHook('preClose', async () => options.health.drain());
  app.addHook('onClose', async () => options.health.close());
  done();
}

export const operatorPlugin = fp(operator, { name: 'sage-operator', fastify: '5.x' });
