/** What is kept of requests for operators to read: opened after the database, closed before it. */
import type { Logger } from 'pino';
import type { Env } from './env.ts';
import { type DecisionLog, openDecisionLog } from './operator/telemetry/decision-log.ts';
import { listen } from './operator/telemetry/events.ts';
import type { Metrics } from './operator/telemetry/metrics.ts';
import { createScrubber } from './operator/telemetry/redaction.ts';
import { reasonOf } from './policy/decide.ts';
import type { PolicySource } from './policy/policy-source.ts';
import type { Database } from './store/database.ts';

export interface WatchOptions {
  readonly env: Env;
  /** The name of this process among its like. */
  readonly nodeId: string;
  readonly database: Database;
  readonly policy: PolicySource;
  readonly metrics: Metrics;
  /** Masked wherever they turn up. */
  readonly secrets: readonly string[];
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface Watch {
  /** Null: DECISION_LOG_PER_SECOND is 0. */
  readonly decisionLog: DecisionLog | null;
  close(): Promise<void>;
}

export function openWatch(options: WatchOptions): Watch {
  const { env, metrics } = options;
  const decisionLog = env.decisionLogPerSecond === 0 ? null : openLog(options);
  const stop =
    decisionLog === null
      ? null
      : listen('sage:request.finished', decisionLog.finished, metrics.subscriberFailed);
  return {
    decisionLog,
    async close() {
      stop?.();
      await decisionLog?.close();
    },
  };
}

function openLog({
  env,
  nodeId,
  database,
  policy,
  metrics,
  secrets,
  logger,
  now,
}: WatchOptions): DecisionLog {
  return openDecisionLog({
    rows: database.decisions,
    perSecond: env.decisionLogPerSecond,
    keep: { rows: env.decisionLogRows, days: env.decisionLogDays },
    node: nodeId,
    scrub: createScrubber(secrets),
    reasonOf(ruleId, revision) {
      const current = policy.current();
      return current.revision === revision ? reasonOf(current, ruleId) : '';
    },
    onWritten: metrics.decisionsWritten,
    onDropped: metrics.decisionsDropped,
    log: logger,
    now,
    monotonicNow: () => performance.now(),
    random: Math.random,
  });
}
