/** What the plugins stand on, opened in the order in which one needs the other. */
import { randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { type Config, chainsToWatch, readConfig } from './config.ts';
import type { Env } from './env.ts';
import { admissionLimits } from './gateway/admission/policy-limits.ts';
import { openPolicySource, type PolicySource } from './policy/policy-source.ts';
import { openRegions, type Regions } from './policy/regions.ts';
import type { Database } from './store/database.ts';
import { openDatabase } from './store/open-database.ts';
import { openStore, type Store } from './store/open-store.ts';
import { type KeySource, openKeySource } from './trust/key-source.ts';

/** What the plugins are given: opened before the first of them, closed after the last. */
export interface Parts {
  readonly env: Env;
  readonly logger: Logger;
  /** The name of this process among its like. */
  readonly nodeId: string;
  readonly regions: Regions | null;
  readonly store: Store;
  readonly database: Database;
  readonly keys: KeySource;
  readonly policy: PolicySource;
  /** `sage.yaml` as it was at the start, or after its last good change. */
  config: Config;
  /** Why the last change of each file was refused, or empty. */
  readonly faults: { configuration: string; policy: string };
}

/**
 * @param opened closes what was opened, last first
 * @throws ConfigError, PolicyError and what the files and places named in `env` cause
 */
export async function openParts(
  env: Env,
  app: FastifyInstance,
  log: Logger,
  opened: AsyncDisposableStack,
): Promise<Parts> {
  const config = readConfig(env.configFile);
  const chains = chainsToWatch(config, env.chainRpcUrls);
  const opening = beginDatabase(env, log, opened);
  const regions = env.regionDatabaseFile === null ? null : await openRegions(env.regionDatabaseFile);
  const nodeId = randomBytes(8).toString('hex');
  const store = await openStore({
    redisUrl: env.redisUrl,
    folder: env.dataDir,
    clockSkewMs: 1_000 * env.clockSkewSeconds,
    seed: randomBytes(32),
    nodeId,
    log,
    now: Date.now,
    monotonicNow: () => Number(process.hrtime.bigint()) / 1e6,
  });
  opened.defer(() => store.close());
  const database = await opening;
  const keys = openKeySource({
    chains,
    configured: (keyId) => parts.config.sharedKeys.get(keyId),
    shared: store.sharedKeys,
    clusterSecret: env.clusterSecret,
    pollIntervalMs: env.chainPollIntervalMs,
    allowPrivateHosts: env.allowPrivateDidHosts,
    chainsMayBeginAnew: env.chainsMayBeginAnew,
    database,
    log,
    now: Date.now,
    monotonicNow: () => performance.now(),
  });
  opened.defer(() => keys.close());
  const faults = { configuration: '', policy: '' };
  const parts = { env, logger: log, nodeId, regions, store, database, keys, config, faults };
  // The agents' own allow lists come with the agents, before anybody is served.
  const policy = await openPolicySource(config.policyFile, [], {
    regions: regions !== null,
    log,
    onChange(next) {
      // The first policy is there before admission is, and is handed to it then.
      if (app.hasDecorator('admission')) app.admission.setLimits(admissionLimits(next));
    },
    onFault(text) {
      faults.policy = text;
    },
  });
  opened.defer(() => policy.close());
  return Object.assign(parts, { policy });
}

/** It opens on a thread or over a socket, while this one does what comes next. */
function beginDatabase(env: Env, log: Logger, opened: AsyncDisposableStack): Promise<Database> {
  const opening = openDatabase({
    databaseUrl: env.databaseUrl,
    dataDir: env.dataDir,
    poolMax: env.databasePoolMax,
    statementTimeoutMs: env.databaseStatementTimeoutMs,
    log,
    now: Date.now,
  });
  // Who awaits it gets its failure; until then it is nobody's.
  const closing = (): Promise<void> =>
    opening.then(
      (database) => database.close(),
      () => undefined,
    );
  opening.catch(() => undefined);
  opened.defer(closing);
  return opening;
}
