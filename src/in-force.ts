/**
 * What is in force: the agents and the policy of `sage.yaml` together with those that operators stored, and who is
 * denied. Changes of the file and of the rows are applied one after the other, each as a whole or not at all.
 */
import type { Logger } from 'pino';
import { type AgentChanged, agentChanged } from './agents/events.ts';
import type { AgentDefinition } from './agents/registry.ts';
import { type MergedAgents, mergeAgents, type StoredAgent } from './agents/stored-agents.ts';
import { type Config, checkSameChains } from './config.ts';
import { type PolicyStored, policyStored } from './policy/events.ts';
import type { PolicySource } from './policy/policy-source.ts';
import { didPatternFault } from './policy/syntax.ts';
import type { Database, PolicyRow } from './store/database.ts';
import { followRows, type RowFollower } from './store/follow-rows.ts';

export interface InForceOptions {
  readonly database: Pick<Database, 'agents' | 'policies' | 'onChange'>;
  readonly policy: PolicySource;
  readonly log: Logger;
  readonly now: () => number;
  /** Serves exactly these. @throws when they cannot be served; those before go on. */
  serve(agents: readonly AgentDefinition[]): void;
}

export interface InForce {
  agents(): MergedAgents;
  /** The row of the stored policy, or of the return to what `sage.yaml` says; null when there never was one. */
  policyRow(): PolicyRow | null;
  /** Takes a changed `sage.yaml`. @throws {ConfigError, PolicyError} when it cannot be used; nothing changes then. */
  configure(next: Config): Promise<void>;
  /** Resolve once every row that stood in the database when they were called is in force here. */
  refreshAgents(): Promise<void>;
  refreshPolicy(): Promise<void>;
  /** Why stored rows are not in force as they stand, one a line; empty when all is well. */
  faults(): string;
  /** Since when changes of other nodes may have been missed, milliseconds since the epoch; null: none can have been. */
  behindSinceMs(): number | null;
  close(): Promise<void>;
}

const allowLists = (agents: readonly AgentDefinition[]) =>
  agents.map(({ id, allow, authentication }) => ({ agentId: id, allow, open: authentication === 'none' }));

/**
 * Says once of each agent that what is signed for it may be meant for another server.
 * @param known of whom that has been said
 */
function warnOfUnbound(
  known: ReadonlySet<string>,
  agents: readonly AgentDefinition[],
  log: Logger,
): ReadonlySet<string> {
  const unbound = agents.filter(({ profiles }) => profiles.includes('sage-g1')).map(({ id }) => id);
  for (const agent of unbound) {
    if (!known.has(agent))
      log.warn(
        { agent, profile: 'sage-g1' },
        'signatures of this profile name no server: they can be sent to another',
      );
  }
  return new Set(unbound);
}

/** Runs what it is given one after the other, failures included. */
function inTurn(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work, work);
    last = next.catch(() => undefined);
    return next;
  };
}

/**
 * Resolves when what is stored is in force: before that nobody may be served.
 * @throws what the database says, and PolicyError for a stored policy that this node cannot use
 */
export async function openInForce(first: Config, options: InForceOptions): Promise<InForce> {
  const { database, policy, log, now } = options;
  const turn = inTurn();
  let config = first;
  let merged: MergedAgents = { definitions: first.agents, stored: [] };
  let policyRow: PolicyRow | null = null;
  let policyFault = '';
  let unbound: ReadonlySet<string> = new Set();

  let started = false;
  const apply = async (nextConfig: Config, next: MergedAgents): Promise<void> => {
    const before = merged;
    await policy.configure(nextConfig.policyFile, allowLists(next.definitions));
    options.serve(next.definitions);
    unbound = warnOfUnbound(unbound, next.definitions, log);
    config = nextConfig;
    merged = next;
    for (const { row, fault } of next.stored) {
      if (fault !== '' && !before.stored.some((known) => known.row.id === row.id && known.fault === fault))
        log.warn({ agent: row.id, fault }, 'a stored agent cannot be used');
    }
    // What was stored before this process began is no news.
    if (started) for (const change of changesOf(before.stored, next.stored)) agentChanged.publish(change);
  };

  await using opened = new AsyncDisposableStack();
  const agents: RowFollower = await followRows({
    database,
    topic: 'agents',
    read: () => database.agents.all(),
    apply: (rows) => turn(() => apply(config, mergeAgents(config.agents, rows, didPatternFault))),
    log,
    now,
  });
  opened.defer(() => agents.close());
  const policies: RowFollower = await followRows({
    database,
    topic: 'policy',
    read: () => database.policies.latest(),
    apply: (row) =>
      turn(async () => {
        try {
          await policy.store(row?.text ?? null);
          policyFault = '';
          const isNews = started && row !== null && row.sequence !== policyRow?.sequence;
          policyRow = row;
          if (isNews) policyStored.publish(eventOf(row, policy));
        } catch (error) {
          // Another node could use it: what decided here goes on, and health says so. At the start nothing decided yet.
          policyFault = error instanceof Error ? error.message : String(error);
          if (!started) throw error;
        }
      }),
    log,
    now,
  });
  opened.defer(() => policies.close());
  started = true;
  // What fails above leaves nobody following.
  const owned = opened.move();
  return {
    agents: () => merged,
    policyRow: () => policyRow,
    configure: (next) =>
      turn(async () => {
        checkSameChains(config, next);
        const rows = merged.stored.map(({ row }) => row);
        await apply(next, mergeAgents(next.agents, rows, didPatternFault));
      }),
    refreshAgents: () => agents.refresh(),
    refreshPolicy: () => policies.refresh(),
    faults: () =>
      [
        policyFault,
        ...merged.stored
          .filter(({ fault }) => fault !== '')
          .map(({ row, fault }) => `agent ${row.id}: ${fault}`),
      ]
        .filter(Boolean)
        .join('\n'),
    behindSinceMs: () => agents.behindSinceMs() ?? policies.behindSinceMs(),
    close: () => owned.disposeAsync(),
  };
}

/** What the rows of agents say now that they did not before. */
function changesOf(before: readonly StoredAgent[], next: readonly StoredAgent[]): AgentChanged[] {
  const known = new Map(before.map(({ row }) => [row.id, row]));
  const changes: AgentChanged[] = [];
  for (const { row } of next) {
    const old = known.get(row.id);
    known.delete(row.id);
    // One that was removed and added again has a first version too.
    if (old?.version === row.version && old.createdAtMs === row.createdAtMs) continue;
    changes.push({ id: row.id, change: old === undefined ? 'added' : 'changed', by: row.updatedBy });
  }
  for (const id of known.keys()) changes.push({ id, change: 'removed', by: '' });
  return changes;
}

const eventOf = ({ sequence, createdBy: by }: PolicyRow, policy: PolicySource): PolicyStored => ({
  sequence,
  revision: policy.current().revision,
  source: policy.source(),
  by,
});
