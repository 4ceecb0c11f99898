/**
 * A finished request as the log of decisions keeps it, made from its record: who asked for what, what was decided, where
 * it went, how long it took. Never a query, a field value or a body; every text is bounded, since a stranger chose it.
 */
import type { RequestRecord } from '../../gateway/record.ts';
import type { DecisionRow } from '../../store/database.ts';

/** Characters kept of a path. */
const PATH_LENGTH_MAX = 1_024;
/** Of a DID or a key id: longer ones are refused before they are looked up. */
const ID_LENGTH_MAX = 512;
/** Of what went wrong inside. */
const REASON_LENGTH_MAX = 1_024;
/** Of a name: method, agent, rule, revision, instance. */
const NAME_LENGTH_MAX = 300;
/** Shadow rules named; a policy may have a thousand. */
const SHADOW_RULES_MAX = 20;
/** Control characters and halves of characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u2028\u2029]/gu;
/** Read of a text before it is scrubbed, whose time depends on it. */
const SCRUBBED_LENGTH_MAX = 4_096;

/** What only the page of one decision shows; JSON in `DecisionRow.detail`. */
export interface DecisionDetail {
  /** The node that decided. */
  readonly node: string;
  readonly span_id: string;
  readonly auth_method: string | null;
  readonly algorithm: string | null;
  /** By whose rules the signature was read; absent in rows of before there were profiles. */
  readonly profile?: string | null;
  readonly instance: string | null;
  readonly attempts: number;
  readonly shadow_rules: readonly string[];
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly aborted: boolean;
  /** What the rule says for itself; null when the policy of that revision was gone. */
  readonly rule_reason: string | null;
  /** What went wrong inside; never told to callers. */
  readonly internal_reason: string | null;
  readonly timings: DecisionTimings;
}

export interface RowContext {
  /** The name of this node, for who reads the decisions of many. */
  readonly node: string;
  /** Takes secrets out of a text: see `createScrubber`. */
  readonly scrub: (text: string) => string;
  /** What a rule says for itself; empty when there is no such rule, or no policy of that revision any more. */
  readonly reasonOf: (ruleId: string, policyRevision: string) => string;
}

/** Null for what was not reached. */
interface DecisionTimings {
  /** From the request's head to its last byte. */
  readonly total_ms: number | null;
  /** Until it was known who asks. */
  readonly identify_ms: number | null;
  /** From there until the policy had decided. */
  readonly decide_ms: number | null;
  /** From there until the agent's response head, retries included. */
  readonly upstream_ms: number | null;
  /** In the signature primitive alone. */
  readonly verify_us: number | null;
}

/**
 * Cut, and without what a terminal would obey, PostgreSQL would refuse, or a cut in the middle of a character left. A copy:
 * V8 keeps the whole of a text alive for a part of it, and a path is part of a target whose query may be as long as a head.
 */
export function boundText(text: string, lengthMax: number): string {
  if (text === '') return '';
  return Buffer.from(text.slice(0, lengthMax).replace(UNPRINTABLE, '\ufffd'), 'utf8').toString('utf8');
}

function orNull(text: string, lengthMax: number): string | null {
  return text === '' ? null : boundText(text, lengthMax);
}

/** Milliseconds to the microsecond; null when one of the two was not reached. */
function between(from: number, to: number): number | null {
  return from > 0 && to >= from ? Math.round((to - from) * 1_000) / 1_000 : null;
}

function detailOf(record: RequestRecord, { node, scrub, reasonOf }: RowContext): DecisionDetail {
  const { caller } = record;
  return {
    node,
    span_id: record.spanId,
    auth_method: caller?.method ?? null,
    algorithm: caller?.algorithm ?? null,
    profile: caller?.profile ?? null,
    instance: orNull(record.instance, NAME_LENGTH_MAX),
    attempts: record.attempts,
    shadow_rules: record.shadowRules
      .slice(0, SHADOW_RULES_MAX)
      .map((rule) => boundText(rule, NAME_LENGTH_MAX)),
    bytes_in: record.bytesIn,
    bytes_out: record.bytesOut,
    aborted: record.aborted,
    rule_reason:
      record.ruleId === '' ? null : orNull(reasonOf(record.ruleId, record.policyRevision), REASON_LENGTH_MAX),
    internal_reason: orNull(scrub(record.internalReason.slice(0, SCRUBBED_LENGTH_MAX)), REASON_LENGTH_MAX),
    timings: {
      total_ms: between(record.startedAt, record.finishedAt),
      identify_ms: between(record.startedAt, record.identifiedAt),
      decide_ms: between(record.identifiedAt, record.decidedAt),
      upstream_ms: between(record.decidedAt, record.respondedAt),
      verify_us: record.verifyMicroseconds > 0 ? Math.round(record.verifyMicroseconds) : null,
    },
  };
}

export function decisionRow(record: RequestRecord, context: RowContext): DecisionRow {
  const { caller } = record;
  return {
    requestId: record.requestId,
    atMs: Math.floor(record.receivedAtMs),
    traceId: record.traceId,
    transport: record.transport,
    method: boundText(record.method, NAME_LENGTH_MAX),
    path: boundText(context.scrub(record.path.slice(0, SCRUBBED_LENGTH_MAX)), PATH_LENGTH_MAX),
    address: boundText(record.address, NAME_LENGTH_MAX),
    agentId: boundText(record.agentId, NAME_LENGTH_MAX),
    did: boundText(caller?.did ?? '', ID_LENGTH_MAX),
    keyId: boundText(caller?.keyId ?? '', ID_LENGTH_MAX),
    effect: record.effect,
    ruleId: boundText(record.ruleId, NAME_LENGTH_MAX),
    policyRevision: boundText(record.policyRevision, NAME_LENGTH_MAX),
    status: record.status,
    code: record.code,
    detail: JSON.stringify(detailOf(record, context)),
  };
}

/**
 * A row in the words of the API, its detail left out; what is empty is null.
 * @param cut bounds the texts that a stranger chose further, for who keeps many in memory
 */
export function decisionView(row: DecisionRow, cut = (text: string): string => text) {
  const orNull = (text: string): string | null => (text === '' ? null : cut(text));
  return {
    request_id: row.requestId,
    at: new Date(row.atMs).toISOString(),
    transport: row.transport,
    method: row.method,
    path: cut(row.path),
    address: row.address,
    agent: orNull(row.agentId),
    caller: orNull(row.did),
    key_id: orNull(row.keyId),
    effect: row.effect,
    rule: orNull(row.ruleId),
    policy_revision: orNull(row.policyRevision),
    status: row.status,
    code: orNull(row.code),
  };
}
