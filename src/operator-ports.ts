/** What the operators' resources ask of the other rooms, handed in by name. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { readAgent } from './agents/stored-agents.ts';
import type { InForce } from './in-force.ts';
import type { StatusView } from './operator/api/status.ts';
import type { OperatorPorts } from './operator/plugin.ts';
import type { PolicySource } from './policy/policy-source.ts';
import { didPatternFault } from './policy/syntax.ts';
import type { Database } from './store/database.ts';
import type { Store } from './store/open-store.ts';
import type { StoredDenials } from './trust/did/stored-denials.ts';
import type { KeySource } from './trust/key-source.ts';
import type { Watch } from './watch.ts';

export interface PortsOptions {
  readonly app: FastifyInstance;
  readonly store: Store;
  readonly keys: KeySource;
  readonly database: Database;
  readonly watch: Watch;
  readonly policy: PolicySource;
  readonly inForce: InForce;
  readonly denials: StoredDenials;
  /** IDENTIFIERS_OPEN */
  readonly identifiersOpen: boolean;
  /** Who is asking, trusted proxies left out. */
  readonly addressOf: (request: FastifyRequest) => string;
  readonly version: string;
  readonly nodeId: string;
  readonly now: () => number;
}

/** This node at a glance. */
function statusReader(parts: PortsOptions): () => StatusView {
  const { app, store, database, policy, inForce, keys, version, nodeId, now } = parts;
  const startedAtMs = now();
  return () => {
    const { kind, connected, writable } = database.status();
    const circuits = Map.groupBy(app.circuits.list(), ({ state }) => state);
    const count = (state: 'open' | 'half-open' | 'closed'): number => circuits.get(state)?.length ?? 0;
    return {
      version,
      node_id: nodeId,
      started_at: new Date(startedAtMs).toISOString(),
      uptime_s: Math.max(0, Math.floor((now() - startedAtMs) / 1_000)),
      origins: [...app.identity.origins()],
      policy: { revision: policy.current().revision, source: policy.source() },
      agents: inForce.agents().definitions.length,
      store: { kind, connected, writable },
      redis: store.redis === null ? null : { connected: store.redis.status().connected },
      chains: keys.chains().map(({ chainId, state }) => ({
        id: chainId,
        connected: state.connected,
        head: state.head?.number ?? null,
        lag_blocks: state.head === undefined ? null : state.lagBlocks,
      })),
      circuits: { open: count('open'), half_open: count('half-open'), closed: count('closed') },
      open_exchanges: app.exchanges.size,
      live_nodes: store.redis?.liveNodes() ?? 1,
    };
  };
}

/** An address that is blocked or asks too often is refused as on the path; each DID it asks for is a look-up of a new caller. */
function strangers({ app, addressOf, now }: PortsOptions): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    const address = addressOf(request);
    const { refusal } = await app.admission.admitAddress(address, now());
    if (refusal !== null) throw refusal;
    const verdict = app.admission.admitNewCaller(address, now());
    if (verdict.refusal !== null) throw verdict.refusal;
  };
}

export function operatorPorts(parts: PortsOptions): OperatorPorts {
  const { app, store, database, policy, inForce, denials, keys, watch, now } = parts;
  /** A write that this node alone would know of, while others run. */
  const reachesAll = (): boolean =>
    database.status().kind === 'postgresql' || store.redis === null || store.redis.liveNodes() <= 1;
  return {
    agents: {
      merged: () => inForce.agents(),
      read: (value) => readAgent(value, didPatternFault),
      rows: database.agents,
      refresh: () => inForce.refreshAgents(),
      reachesAll,
      now,
    },
    identifiers: {
      // Where everybody may ask, everybody is a stranger: known callers' documents are to be read first.
      describe: (did) => keys.resolver.describe(did, !parts.identifiersOpen),
      admitStranger: parts.identifiersOpen ? strangers(parts) : null,
    },
    policy: {
      source: policy,
      row: () => inForce.policyRow(),
      rows: database.policies,
      refresh: () => inForce.refreshPolicy(),
      reachesAll,
      now,
    },
    revocations: { denials, reachesAll, now },
    apiKeys: { reachesAll },
    status: { read: statusReader(parts) },
    blocks: { blocks: store.blocks, now },
    stream: { clients: watch.stream },
    decisions: { rows: database.decisions, log: watch.decisionLog },
    circuits: {
      list: () => app.circuits.list(),
      reset: (agentId, instance) => app.circuits.reset(agentId, instance),
    },
  };
}
