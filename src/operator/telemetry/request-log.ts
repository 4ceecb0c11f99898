/**
 * One line for each finished request, made from its record: what was asked, who asked, what was decided, where it
 * went, how long it took. Never a query, a field value or a body.
 */
import type { Logger } from 'pino';
import type { RequestRecord } from '../../gateway/record.ts';

export interface RequestLog {
  readonly finished: (record: RequestRecord) => void;
}

/**
 * Lines a second, per process. A stranger chooses how many requests there are; disk and log bills are ours.
 * Metrics count every request; the log then says how many lines it left out.
 */
const LINES_PER_SECOND_MAX = 2000;
const WINDOW_MS = 1000;
/** Characters of a path that are printed. */
const PATH_LENGTH_MAX = 1024;
/** Characters of a DID or key id that are printed. */
const ID_LENGTH_MAX = 512;

/** Characters of what went wrong inside that are printed. */
const REASON_LENGTH_MAX = 1024;
/** Shadow rules named on one line; a policy may have a thousand. */
const SHADOW_RULES_MAX = 20;

type Level = 'info' | 'warn' | 'error';

/** Our or the agent's fault is an error, the caller's a warning. */
function levelOf(record: RequestRecord): Level {
  if (record.status >= 500) return 'error';
  return record.status >= 400 || record.code !== '' ? 'warn' : 'info';
}

function milliseconds(from: number, to: number): number | undefined {
  return from > 0 && to >= from ? Math.round((to - from) * 1000) / 1000 : undefined;
}

/** What is said of the request; members that say nothing are left out. */
function lineOf(record: RequestRecord): Record<string, unknown> {
  const { caller } = record;
  return {
    span_id: record.spanId,
    transport: record.transport,
    method: record.method.slice(0, 32),
    path: record.path.slice(0, PATH_LENGTH_MAX),
    address: record.address,
    agent: record.agentId || undefined,
    caller: caller?.did.slice(0, ID_LENGTH_MAX) || undefined,
    key_id: caller?.keyId.slice(0, ID_LENGTH_MAX) || undefined,
    auth: caller?.method,
    algorithm: caller?.algorithm ?? undefined,
    profile: caller?.profile ?? undefined,
    effect: record.effect,
    rule: record.ruleId || undefined,
    shadow_rules: record.shadowRules.length > 0 ? record.shadowRules.slice(0, SHADOW_RULES_MAX) : undefined,
    policy_revision: record.policyRevision || undefined,
    instance: record.instance || undefined,
    attempts: record.attempts || undefined,
    status: record.status,
    code: record.code || undefined,
    reason: record.internalReason.slice(0, REASON_LENGTH_MAX) || undefined,
    duration_ms: milliseconds(record.startedAt, record.finishedAt),
    upstream_ms: milliseconds(record.decidedAt, record.respondedAt),
    verify_us: record.verifyMicroseconds > 0 ? Math.round(record.verifyMicroseconds) : undefined,
    bytes_in: record.bytesIn,
    bytes_out: record.bytesOut,
    aborted: record.aborted || undefined,
  };
}

/** `onSuppressed` is called for every line left out because of the bound. */
export function createRequestLog(logger: Logger, onSuppressed: () => void): RequestLog {
  // Every member is named above and bounded, so the walk that redacts by name is left out; the scrubbing by shape and
  // by value is not.
  const direct = logger.child({}, { formatters: { log: (line) => line } });
  let windowEndsAt = 0;
  let lines = 0;
  let suppressed = 0;
  return {
    finished(record) {
      const level = levelOf(record);
      if (!direct.isLevelEnabled(level)) return;
      if (record.finishedAt >= windowEndsAt) {
        windowEndsAt = record.finishedAt + WINDOW_MS;
        if (suppressed > 0) direct.warn({ suppressed }, 'request lines left out');
        lines = 0;
        suppressed = 0;
      }
      if (++lines > LINES_PER_SECOND_MAX) {
        suppressed++;
        onSuppressed();
        return;
      }
      // Nested, since pino writes an object in one go but top-level members one by one, which took twice as long.
      direct[level](
        { request_id: record.requestId, trace_id: record.traceId, request: lineOf(record) },
        'request',
      );
    },
  };
}
