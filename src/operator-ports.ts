/** What the operators' resources ask of the other rooms, handed in by name. */
import type { FastifyInstance } from 'fastify';
import { readAgent } from './agents/stored-agents.ts';
import type { InForce } from './in-force.ts';
import type { OperatorPorts } from './operator/plugin.ts';
import type { DecisionLog } from './operator/telemetry/decision-log.ts';
import type { PolicySource } from './policy/policy-source.ts';
import { didPatternFault } from './policy/syntax.ts';
import type { Database } from './store/database.ts';
import type { Store } from './store/open-store.ts';
import type { StoredDenials } from './trust/did/stored-denials.ts';

export interface PortsOptions {
  readonly app: FastifyInstance;
  readonly store: Store;
  readonly database: Database;
  /** Null: DECISION_LOG_PER_SECOND is 0. */
  readonly decisionLog: DecisionLog | null;
  readonly policy: PolicySource;
  readonly inForce: InForce;
  readonly denials: StoredDenials;
  readonly config: { readonly agents: readonly { readonly id: string }[] };
  readonly now: () => number;
}

export function operatorPorts(parts: PortsOptions): OperatorPorts {
  const { app, store, database, policy, inForce, denials, now } = parts;
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
    policy: {
      source: policy,
      row: () => inForce.policyRow(),
      rows: database.policies,
      refresh: () => inForce.refreshPolicy(),
      reachesAll,
      now,
    },
    revocations: { denials, reachesAll, now },
    blocks: { blocks: store.blocks, now },
    decisions: { rows: database.decisions, log: parts.decisionLog },
    circuits: {
      list: () => app.circuits.list(),
      reset: (agentId, instance) => app.circuits.reset(agentId, instance),
    },
  };
}
