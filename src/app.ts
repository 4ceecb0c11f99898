/**
 * The map: plugins are registered in the order of a request's life (accept, admit, identify, decide, route, deliver,
 * record), explicitly. What a lower room asks of a higher one is handed in here, by name.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { unescape as decode } from 'node:querystring';
import websocket from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { DestinationStream, Logger } from 'pino';
import type { AgentDefinition } from './agents/registry.ts';
import { followConfig } from './config.ts';
import type { Env } from './env.ts';
import { admissionPlugin } from './gateway/admission/plugin.ts';
import { admissionLimits } from './gateway/admission/policy-limits.ts';
import breakerPlugin from './gateway/breaker/plugin.ts';
import { loopbackOrigins } from './gateway/identity/origins.ts';
import { identityPlugin } from './gateway/identity/plugin.ts';
import { identityPorts, identitySettings } from './gateway/identity/ports.ts';
import { clientAddress, parseTrustedProxies } from './gateway/listener/client-address.ts';
import { sendContinue } from './gateway/listener/continue.ts';
import { listenerPlugin } from './gateway/listener/plugin.ts';
import { createServer } from './gateway/listener/server.ts';
import { pathPlugin } from './gateway/path.ts';
import proxyPlugin from './gateway/proxy/plugin.ts';
import { websocketServerOptions } from './gateway/proxy/websocket-server.ts';
import { closeWhenRevoked } from './gateway/revocation.ts';
import routingPlugin from './gateway/routing/plugin.ts';
import { createRandom32 } from './gateway/trace-context.ts';
import { type InForce, openInForce } from './in-force.ts';
import { operatorPlugin } from './operator/plugin.ts';
import { componentProbes } from './operator/telemetry/component-probes.ts';
import { createHealth } from './operator/telemetry/health.ts';
import { createLogger } from './operator/telemetry/logging.ts';
import { createMetrics, type Metrics } from './operator/telemetry/metrics.ts';
import { telemetryPlugin } from './operator/telemetry/plugin.ts';
import { systemProbes } from './operator/telemetry/probes.ts';
import { operatorPorts } from './operator-ports.ts';
import { openParts, type Parts } from './parts.ts';
import { identifyOperator } from './signed-operators.ts';
import type { Database } from './store/database.ts';
import type { Store } from './store/open-store.ts';
import { openStoredDenials, type StoredDenials } from './trust/did/stored-denials.ts';
import { openWatch, type Watch } from './watch.ts';

const VERSION: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
/** Of one WebSocket; an agent's own `websocket_max_message_bytes` is at most this. */
const WEBSOCKET_MESSAGE_BYTES_MAX = 67_108_864;
const now = Date.now;

declare module 'fastify' {
  interface FastifyInstance {
    /** What is remembered beyond a restart. */
    readonly database: Database;
  }
}

/**
 * Builds the gateway; nothing listens yet. Closing the instance closes all it opened.
 * @param logTo where log lines go; standard output when left out
 * @throws ConfigError, PolicyError, TrustedProxiesError and what the files named in `env` cause, each with a message
 * for the operator.
 */
export async function buildGateway(env: Env, logTo?: DestinationStream): Promise<FastifyInstance> {
  await using opened = new AsyncDisposableStack();
  const { operatorApiKey, clusterSecret } = env;
  const secrets = [
    operatorApiKey,
    clusterSecret,
    passwordIn(env.databaseUrl),
    passwordIn(env.redisUrl),
  ].filter((secret) => secret !== null);
  const logger = createLogger({
    level: env.logLevel,
    secrets,
    ...(logTo === undefined ? {} : { destination: logTo }),
  });
  const server = createServer({
    ...(env.tls === null ? {} : { tls: env.tls }),
    explainRefusals: env.explainRefusals,
    maxHeaderBytes: env.maxHeaderBytes,
    headersTimeoutMs: env.headersTimeoutMs,
    keepAliveTimeoutMs: env.keepAliveTimeoutMs,
    maxConnections: env.maxConnections,
    loggerInstance: logger,
    onRefused: (code) => metrics.refusedByListener(code),
  });
  const metrics: Metrics = createMetrics({
    isAgent: (id) => server.agents.get(id) !== undefined,
    circuits: () => server.circuits.list(),
    nonceTable: () => tableFill(parts.store),
    redisConnected: () => parts.store.redis?.status().connected ?? null,
    database: () => parts.database.status(),
  });
  let parts: Parts;
  try {
    // Subscribed before anything is opened, so that the first policy and the first head are counted.
    await server.register(telemetryPlugin, { metrics, logger, tracing: await openTracing(env, logger) });
    parts = await openParts(env, server, logger, opened);
    server.decorate('database', parts.database);
    const watch = openWatch({ ...parts, metrics, secrets, now });
    opened.defer(() => watch.close());
    const state = await registerPath(server, parts, metrics, watch, opened);
    followChanges(server, parts, state);
  } catch (error) {
    // What the plugins have opened so far is theirs to close.
    await server.close();
    throw error;
  }
  const owned = opened.move();
  server.addHook('onClose', () => owned.disposeAsync());
  return server;
}

/** As it stands in the URL, or null: empty would be found in every line. */
function passwordIn(url: string | null): string | null {
  const password = url === null ? '' : new URL(url).password;
  return password === '' ? null : decode(password);
}

/** What operators change while the gateway runs. */
interface State {
  readonly inForce: InForce;
  readonly denials: StoredDenials;
}

async function registerPath(
  app: FastifyInstance,
  parts: Parts,
  metrics: Metrics,
  watch: Watch,
  opened: AsyncDisposableStack,
): Promise<State> {
  const { env, logger, regions, store, policy } = parts;
  const trustedProxies = parseTrustedProxies(env.trustedProxies);
  const addressOf = (request: FastifyRequest): string => clientAddress(request.raw, trustedProxies);
  // accept
  await app.register(listenerPlugin, {
    explainRefusals: env.explainRefusals,
    bodyTimeoutMs: env.bodyIdleTimeoutMs,
  });
  await app.register(websocket, websocketServerOptions(WEBSOCKET_MESSAGE_BYTES_MAX));
  // admit
  const { newCallersPerMinute } = env;
  await app.register(admissionPlugin, { ...store, newCallersPerMinute, now, addressOf });
  app.admission.setLimits(admissionLimits(policy.current()));
  // identify
  const ports = identityPorts(store, parts.keys, now, logger);
  await app.register(identityPlugin, {
    publicOrigins: env.publicOrigins,
    settings: identitySettings(env),
    ports,
  });
  // route and deliver
  await app.register(breakerPlugin);
  await app.register(routingPlugin);
  await app.register(proxyPlugin);
  // the path that calls them, decide in its middle
  await app.register(pathPlugin, {
    policy,
    regionOf: (address) => regions?.lookup(address) ?? null,
    trustedProxies,
    random: createRandom32(new Uint32Array(new Uint8Array(randomBytes(16)).buffer)),
    now,
  });
  const state = await openState(app, parts, opened);
  // watch
  const health = createHealth({
    probes: [...systemProbes(env.dataDir), ...watched(parts, state)],
    now,
    version: VERSION,
  });
  await app.register(operatorPlugin, {
    access: {
      apiKey: env.operatorApiKey,
      openOnLoopback: env.sageEnv === 'development',
      oidc: env.oidc,
      clockSkewSeconds: env.clockSkewSeconds,
      operators: () => parts.config.operators,
      identify: identifyOperator(app, addressOf, now, parts.keys),
      proceed: ({ raw }, reply) => sendContinue(raw, reply.raw),
    },
    document: { version: VERSION, origins: () => app.identity.origins() },
    corsOrigins: env.corsOrigins,
    overTls: env.tls !== null,
    log: logger,
    ports: operatorPorts({
      app,
      ...parts,
      ...state,
      watch,
      identifiersOpen: env.identifiersOpen,
      addressOf,
      version: VERSION,
      now,
    }),
    health,
    metrics,
    database: parts.database,
    addressOf,
    now,
  });
  app.drain.onDrain(() => {
    health.drain();
    watch.stream.close();
  });
  app.addHook('onListen', async () => {
    const { port } = app.server.address() as AddressInfo;
    const scheme = env.tls === null ? 'http' : 'https';
    // On loopback the origins that signatures may name are known only now.
    if (env.publicOrigins.length === 0) app.identity.setOrigins(loopbackOrigins(scheme, port));
    health.configured();
  });
  return state;
}

/** Puts in force what operators stored, before anybody is served. */
async function openState(app: FastifyInstance, parts: Parts, opened: AsyncDisposableStack): Promise<State> {
  const { database, keys, policy, logger: log } = parts;
  const revoking = closeWhenRevoked(app.exchanges, keys.resolver, log);
  opened.defer(() => revoking.stop());
  const denials = await openStoredDenials({
    database,
    denied: keys.denied,
    close(did) {
      keys.resolver.purge({ did }, 'denied');
      return revoking.closed();
    },
    log,
    now,
  });
  opened.defer(() => denials.stop());
  const inForce = await openInForce(parts.config, {
    database,
    policy,
    log,
    now,
    serve(agents) {
      app.agents.replace(agents);
      boundMessages(app, agents);
    },
  });
  opened.defer(() => inForce.close());
  return { inForce, denials };
}

async function openTracing(env: Env, logger: Logger) {
  const { otlpEndpoint: endpoint, otelServiceName: serviceName } = env;
  if (endpoint === null) return null;
  const { startOtlp } = await import('./operator/telemetry/otlp.ts');
  return startOtlp({
    endpoint,
    serviceName,
    version: VERSION,
    scheme: env.tls === null ? 'http' : 'https',
    logger,
  });
}

/** No caller's socket reads a message larger than some agent takes; the relay holds each to its own agent's bound. */
function boundMessages(app: FastifyInstance, agents: readonly AgentDefinition[]): void {
  const bounds = agents.map(({ websocketMaxMessageBytes }) => websocketMaxMessageBytes);
  app.websocketServer.options.maxPayload = Math.max(1, ...bounds);
}

const tableFill = ({ nonces, table: { nonces: region } }: Store) => ({
  used: Math.round(nonces.fill() * region.slots),
  capacity: region.slots,
});

const watched = (parts: Parts, { inForce, denials }: State) =>
  componentProbes(
    {
      redis: parts.store.redis,
      database: () => parts.database.status(),
      chains: () => parts.keys.chains(),
      policyRevision: () => parts.policy.current().revision,
      lastFault: () =>
        [parts.faults.configuration, parts.faults.policy, inForce.faults(), missed(parts, inForce, denials)]
          .filter(Boolean)
          .join('\n'),
    },
    now,
  );

/** That operators may have changed something this node does not know of, or empty. */
function missed({ database }: Parts, inForce: InForce, denials: StoredDenials): string {
  const { connected, checkedAtMs } = database.status();
  const sinceMs = inForce.behindSinceMs() ?? denials.behindSinceMs() ?? (connected ? null : checkedAtMs);
  if (sinceMs === null) return '';
  return `changes made by operators on other nodes may be missing since ${new Date(sinceMs).toISOString()}`;
}

/** Takes a changed `sage.yaml` as a whole or not at all. */
function followChanges(app: FastifyInstance, parts: Parts, { inForce }: State): void {
  const { env, logger } = parts;
  const follower = followConfig(
    env.configFile,
    parts.config,
    async (next) => {
      await inForce.configure(next);
      parts.config = next;
      parts.faults.configuration = '';
      logger.info({ file: env.configFile, agents: next.agents.length }, 'configuration reloaded');
    },
    (fault) => {
      parts.faults.configuration = fault;
      logger.error({ file: env.configFile, fault }, 'configuration refused');
    },
  );
  app.addHook('onClose', () => follower.close());
}
