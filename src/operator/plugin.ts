import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { Database } from '../store/database.ts';
import { bootstrapKey } from './access/bootstrap.ts';
import { createGuard, type Guard, guardRoutes } from './access/guard.ts';
import { type AgentPorts, agentRoutes } from './api/agents.ts';
import { type BlockPorts, blockRoutes } from './api/blocks.ts';
import { type CircuitPorts, circuitRoutes } from './api/circuits.ts';
import { type DecisionPorts, decisionRoutes } from './api/decisions.ts';
import { detailedHealthRoutes, openHealthRoutes } from './api/health.ts';
import { metricsRoutes } from './api/metrics.ts';
import { type PolicyPorts, policyRoutes } from './api/policy.ts';
import { answerWithProblems } from './api/problems.ts';
import { type RevocationPorts, revocationRoutes } from './api/revocations.ts';
import type { OperatorApp } from './api/route.ts';
import { openV1, PREFIX } from './api/v1.ts';
import type { Health } from './telemetry/health.ts';
import type { Metrics } from './telemetry/metrics.ts';

/** What opens the guarded routes. */
export interface AccessOptions {
  /** OPERATOR_API_KEY; null: guarded routes answer 403 unless something else opens them. */
  readonly apiKey: string | null;
  /** Only with `SAGE_ENV=development`: this machine needs no credential. */
  readonly openOnLoopback: boolean;
}

/** What the resources ask of the other rooms, by resource; `app.ts` hands it in. */
export interface OperatorPorts {
  readonly agents: AgentPorts;
  readonly policy: PolicyPorts;
  readonly revocations: RevocationPorts;
  readonly blocks: BlockPorts;
  readonly circuits: CircuitPorts;
  readonly decisions: DecisionPorts;
}

export interface OperatorOptions {
  readonly access: AccessOptions;
  readonly ports: OperatorPorts;
  readonly health: Health;
  readonly metrics: Metrics;
  /** Null where no store is open, which only tests of this room do. */
  readonly database: Database | null;
  /** Who is asking, trusted proxies left out; the other end of the connection when absent. */
  readonly addressOf?: (request: FastifyRequest) => string;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** One line for each resource; its file says which routes it has. */
function addResources(app: OperatorApp, { ports }: OperatorOptions): void {
  agentRoutes(app, ports.agents);
  policyRoutes(app, ports.policy);
  revocationRoutes(app, ports.revocations);
  blockRoutes(app, ports.blocks);
  circuitRoutes(app, ports.circuits);
  decisionRoutes(app, ports.decisions);
}

function makeGuard(options: OperatorOptions): Guard {
  const { apiKey, openOnLoopback } = options.access;
  return createGuard({
    bearer: apiKey === null ? [] : [bootstrapKey(apiKey)],
    signature: null,
    openOnLoopback: openOnLoopback && apiKey === null,
    configured: () => apiKey !== null,
    addressOf: options.addressOf ?? ((request) => request.ip),
    now: options.now ?? Date.now,
  });
}

/** Every guarded route, in scopes of their own, so that none can be added without the guard. */
function addGuarded(app: FastifyInstance, options: OperatorOptions): void {
  const guard = makeGuard(options);
  app.decorateRequest('principal', null);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store').header('x-request-id', request.id);
  });
  // Somebody who guesses at credentials should show in the metrics too.
  answerWithProblems(app, options.metrics.refusedByListener);
  app.register((telemetry, _options, ready) => {
    guardRoutes(telemetry, guard);
    detailedHealthRoutes(telemetry, options.health);
    metricsRoutes(telemetry, options.metrics);
    ready();
  });
  app.register(
    (v1, _options, ready) => {
      const idempotency = options.database?.idempotency ?? null;
      openV1(v1, { guard, idempotency, now: options.now ?? Date.now }, (resources) =>
        addResources(resources, options),
      );
      ready();
    },
    { prefix: PREFIX },
  );
}

/** The operators' routes. Readiness fails as soon as the server begins to close. */
function operator(app: FastifyInstance, options: OperatorOptions, done: () => void): void {
  openHealthRoutes(app, options.health);
  app.register((guarded, _options, ready) => {
    addGuarded(guarded, options);
    ready();
  });
  app.addHook('preClose', async () => options.health.drain());
  app.addHook('onClose', async () => options.health.close());
  done();
}

export const operatorPlugin = fp(operator, { name: 'sage-operator', fastify: '5.x' });
