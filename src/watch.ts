/** What is kept of requests and events for operators to read: opened after the database, closed before it. */
import type { Logger } from 'pino';
import type { Env } from './env.ts';
import { openClients, type StreamClients } from './operator/stream/clients.ts';
import { openFeed } from './operator/stream/feed.ts';
import { type DecisionLog, openDecisionLog } from './operator/telemetry/decision-log.ts';
import type { RowContext } from './operator/telemetry/decision-row.ts';
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
  readonly stream: StreamClients;
  close(): Promise<void>;
}

const monotonicNow = (): number => performance.now();

export function openWatch(options: WatchOptions): Watch {
  const { env, nodeId, policy, metrics, now } = options;
  const context: RowContext = {
    node: nodeId,
    scrub: createScrubber(options.secrets),
    reasonOf(ruleId, revision) {
      const current = policy.current();
      return current.revision === revision ? reasonOf(current, ruleId) : '';
    },
  };
  const onError = metrics.subscriberFailed;
  const decisionLog = env.decisionLogPerSecond === 0 ? null : openLog(options, context);
  const stop = decisionLog === null ? null : listen('sage:request.finished', decisionLog.finished, onError);
  const feed = openFeed({ ...context, onError, now, monotonicNow, random: Math.random });
  const stream = openClients({ feed, counts: metrics.stream, now });
  return {
    decisionLog,
    stream,
    async close() {
      stream.close();
      feed.close();
      stop?.();
      await decisionLog?.close();
    },
  };
}

function openLog({ env, database, metrics, logger, now }: WatchOptions, context: RowContext): DecisionLog {
  return openDecisionLog({
    ...context,
    rows: database.decisions,
    perSecond: env.decisionLogPerSecond,
    keep: { rows: env.decisionLogRows, days: env.decisionLogDays },
    onWritten: metrics.decisionsWritten,
    onDropped: metrics.decisionsDropped,
    log: logger,
    now,
    monotonicNow,
    random: Math.random,
  });
}
