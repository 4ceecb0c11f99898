import helmet from '@fastify/helmet';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { Database } from '../store/database.ts';
import type { StoreLog } from '../store/redis/connection.ts';
import { guardRoutes } from './access/guard.ts';
import { type Access, type AccessOptions, openAccess } from './access/open-access.ts';
import { parseProvenBodies } from './access/signed.ts';
import { type AgentPorts, agentRoutes } from './api/agents.ts';
import { type ApiKeyPorts, apiKeyRoutes } from './api/api-keys.ts';
import { type BlockPorts, blockRoutes } from './api/blocks.ts';
import { type CircuitPorts, circuitRoutes } from './api/circuits.ts';
import { type DecisionPorts, decisionRoutes } from './api/decisions.ts';
import { detailedHealthRoutes, openHealthRoutes } from './api/health.ts';
import { type IdentifierPorts, identifierRoutes } from './api/identifiers.ts';
import { metricsRoutes } from './api/metrics.ts';
import type { DocumentOptions } from './api/openapi.ts';
import { type PolicyPorts, policyRoutes } from './api/policy.ts';
import { answerWithProblems } from './api/problems.ts';
import { type RevocationPorts, revocationRoutes } from './api/revocations.ts';
import type { OperatorApp } from './api/route.ts';
import { type StatusPorts, statusRoutes } from './api/status.ts';
import { type StreamPorts, streamRoutes } from './api/stream.ts';
import { openV1, PREFIX } from './api/v1.ts';
import { whoamiRoutes } from './api/whoami.ts';
import type { Health } from './telemetry/health.ts';
import type { Metrics } from './telemetry/metrics.ts';

/** What the resources ask of the other rooms, by resource; `app.ts` hands it in. */
export interface OperatorPorts {
  readonly agents: AgentPorts;
  readonly policy: PolicyPorts;
  readonly revocations: RevocationPorts;
  readonly blocks: BlockPorts;
  readonly circuits: CircuitPorts;
  readonly decisions: DecisionPorts;
  readonly identifiers: IdentifierPorts;
  readonly status: StatusPorts;
  /** The rest it has from `access`. */
  readonly apiKeys: Pick<ApiKeyPorts, 'reachesAll'>;
  /** The rest is `corsOrigins`. */
  readonly stream: Pick<StreamPorts, 'clients'>;
}

export interface OperatorOptions {
  readonly access: AccessOptions;
  readonly document: DocumentOptions;
  /** CORS_ORIGINS: whose pages may ask `/v1` from a browser. */
  readonly corsOrigins: readonly string[];
  /** Whether callers reach this process by TLS, which browsers are then told to insist on. */
  readonly overTls: boolean;
  readonly log: StoreLog;
  readonly ports: OperatorPorts;
  readonly health: Health;
  readonly metrics: Metrics;
  /** Null where no store is open, which only tests of this room do. */
  readonly database: Database | null;
  /** Who is asking, trusted proxies left out. */
  readonly addressOf: (request: FastifyRequest) => string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** A year, as RFC 6797 section 6.1.1 shows; subdomains are other people's. */
const HSTS_SECONDS = 31_536_000;

/** One line for each resource; its file says which routes it has. */
function addResources(app: OperatorApp, options: OperatorOptions, access: Access): void {
  const { ports, database, corsOrigins, now } = options;
  whoamiRoutes(app);
  statusRoutes(app, ports.status);
  agentRoutes(app, ports.agents);
  policyRoutes(app, ports.policy);
  revocationRoutes(app, ports.revocations);
  blockRoutes(app, ports.blocks);
  circuitRoutes(app, ports.circuits);
  decisionRoutes(app, ports.decisions);
  const { keys, adminWithout } = access;
  if (database !== null && keys !== null)
    apiKeyRoutes(app, { ...ports.apiKeys, keys, rows: database.apiKeys, adminWithout, now });
  streamRoutes(app, { ...ports.stream, origins: corsOrigins });
}

/** What nobody may do with an answer of ours: it is data, not a page. */
async function forbidBrowsers(app: FastifyInstance, overTls: boolean): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: overTls ? { maxAge: HSTS_SECONDS, includeSubDomains: false } : false,
  });
}

/**
 * Every guarded route, in scopes of their own, so that none can be added without the guard; and DIDs resolved for everybody,
 * where IDENTIFIERS_OPEN says so.
 */
async function addGuarded(app: FastifyInstance, options: OperatorOptions): Promise<void> {
  const { database, addressOf, log, now } = options;
  const access = await openAccess(options.access, { database, addressOf, log, now });
  const { guard } = access;
  const { identifiers } = options.ports;
  // While the database is still open.
  app.addHook('preClose', async () => access.keys?.noteUsed());
  app.addHook('onClose', () => access.close());
  app.decorateRequest('principal', null);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store').header('x-request-id', request.id);
  });
  parseProvenBodies(app);
  // Somebody who guesses at credentials should show in the metrics too.
  answerWithProblems(app, options.metrics.refusedByListener);
  await app.register(async (telemetry) => {
    guardRoutes(telemetry, guard);
    detailedHealthRoutes(telemetry, options.health);
    metricsRoutes(telemetry, options.metrics);
    if (identifiers.admitStranger === null) identifierRoutes(telemetry, identifiers);
  });
  if (identifiers.admitStranger !== null) identifierRoutes(app, identifiers);
  await app.register(
    async (v1) => {
      const { document, corsOrigins } = options;
      const idempotency = database?.idempotency ?? null;
      await openV1(v1, { guard, idempotency, now, document, corsOrigins }, (resources) =>
        addResources(resources, options, access),
      );
    },
    { prefix: PREFIX },
  );
}

/** The operators' routes. Readiness fails as soon as the server begins to close. */
async function operator(app: FastifyInstance, options: OperatorOptions): Promise<void> {
  // A scope of their own: what holds for our answers never holds for those of agents.
  await app.register(async (own) => {
    await forbidBrowsers(own, options.overTls);
    openHealthRoutes(own, options.health);
    await own.register((guarded) => addGuarded(guarded, options));
  });
  app.addHook('preClose', async () => options.health.drain());
  app.addHook('onClose', async () => options.health.close());
}

export const operatorPlugin = fp(operator, { name: 'sage-operator', fastify: '5.x' });
