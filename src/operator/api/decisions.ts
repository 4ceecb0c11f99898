/** What was decided about requests: one by its id, or a page of those that fit. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { type Static, Type } from 'typebox';
import type { DecisionFilter, DecisionRow, DecisionRows } from '../../store/database.ts';
import { CursorInvalid } from '../../store/errors.ts';
import { OperatorError } from '../errors.ts';
import type { DecisionLog } from '../telemetry/decision-log.ts';
import { type DecisionDetail, decisionView } from '../telemetry/decision-row.ts';
import { InstantView, instantSchema, readInstant } from './instants.ts';
import { nullable } from './nullable.ts';
import { cursorInvalid, listOf, pageQuery, pageRequest } from './pagination.ts';
import type { OperatorApp } from './route.ts';

export interface DecisionPorts {
  readonly rows: Pick<DecisionRows, 'get' | 'list'>;
  /** Null: DECISION_LOG_PER_SECOND is 0. */
  readonly log: Pick<DecisionLog, 'find'> | null;
}

/** Longer values stand in no row, since rows are cut. */
const FILTER_LENGTH_MAX = 512;

const Effect = Type.Union([Type.Literal('allow'), Type.Literal('deny'), Type.Literal('none')], {
  title: '`allow`, `deny` or `none`',
  description: '`none`: refused before the policy was asked.',
});

const summary = {
  request_id: Type.String({ description: 'The `x-request-id` of the answer.' }),
  at: InstantView,
  trace_id: Type.String(),
  transport: Type.String({ description: '`http/1.1`, `h2` or `websocket`' }),
  method: Type.String(),
  path: Type.String({ description: 'Without its query; cut to 1,024 characters.' }),
  address: Type.String(),
  agent: nullable(Type.String()),
  caller: nullable(Type.String({ description: 'The proven DID.' })),
  key_id: nullable(Type.String()),
  effect: Effect,
  rule: nullable(Type.String({ description: '`default` when no rule matched.' })),
  policy_revision: nullable(Type.String()),
  status: Type.Integer({ description: '101 for a WebSocket; 0 when the caller went away first.' }),
  code: nullable(Type.String({ description: 'Null when it was delivered.' })),
};

const Decision = Type.Object(summary, { title: 'Decision' });

const Milliseconds = nullable(Type.Number({ minimum: 0 }));

const DecisionInFull = Type.Object(
  {
    ...summary,
    reason: nullable(Type.String({ description: 'What the rule says for itself.' })),
    internal_reason: nullable(Type.String({ description: 'What went wrong inside; never told to callers.' })),
    shadow_rules: Type.Array(
      Type.String({ description: 'Rules on trial that would have decided otherwise.' }),
    ),
    authentication: nullable(Type.String()),
    algorithm: nullable(Type.String()),
    profile: nullable(Type.String({ description: 'By whose rules the signature was read.' })),
    node: Type.String(),
    span_id: Type.String(),
    instance: nullable(Type.String({ description: 'The origin that answered.' })),
    attempts: Type.Integer({ minimum: 0 }),
    timings: Type.Object(
      {
        total_ms: Milliseconds,
        identify_ms: Milliseconds,
        decide_ms: Milliseconds,
        upstream_ms: Milliseconds,
        verify_us: nullable(
          Type.Number({ minimum: 0, description: 'Microseconds in the signature primitive.' }),
        ),
      },
      { description: 'Null for what was not reached.' },
    ),
    bytes_in: Type.Integer(),
    bytes_out: Type.Integer(),
    aborted: Type.Boolean({ description: 'The caller went away before the answer was complete.' }),
  },
  { title: 'DecisionInFull' },
);

const text = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: FILTER_LENGTH_MAX, description }));

const Query = Type.Object(
  {
    ...pageQuery,
    caller: text('The proven DID.'),
    agent: text('The id of an agent.'),
    address: text('An IP address.'),
    code: text('What it was refused with.'),
    effect: Type.Optional(Effect),
    rule: text('The rule that decided.'),
    status: Type.Optional(
      Type.String({
        pattern: '^(?:0|[1-5](?:xx|\\d\\d))$',
        title: 'a status such as 403, or a class such as 4xx',
        description: 'A status such as 403, or a class such as 4xx.',
      }),
    ),
    from: Type.Optional(instantSchema('Not before this moment.')),
    to: Type.Optional(instantSchema('Before this moment.')),
  },
  { additionalProperties: false },
);

function invalid(member: string, message: string): OperatorError {
  return new OperatorError('request_invalid', { errors: [{ path: `query/${member}`, message }] });
}

function statusRange(status: string | undefined): { statusMin?: number; statusMax?: number } {
  if (status === undefined) return {};
  if (!status.endsWith('xx')) return { statusMin: Number(status), statusMax: Number(status) };
  const hundreds = 100 * Number(status[0]);
  return { statusMin: hundreds, statusMax: hundreds + 99 };
}

/** In the one spelling that records have. @throws OperatorError request_invalid */
function addressOf(text: string): string {
  if (isIP(text) === 0) throw invalid('address', 'must be an IP address');
  return ipaddr.process(text.split('%', 1)[0] ?? '').toString();
}

/** @throws OperatorError request_invalid for what no row can fit */
function filterOf(query: Static<typeof Query>): DecisionFilter {
  const { caller, agent, address, code, effect, rule, status } = query;
  const fromMs = readInstant(query.from);
  const toMs = readInstant(query.to);
  if (fromMs !== null && toMs !== null && fromMs >= toMs) throw invalid('to', 'must be later than `from`');
  return {
    ...(caller === undefined ? {} : { did: caller }),
    ...(agent === undefined ? {} : { agentId: agent }),
    ...(address === undefined ? {} : { address: addressOf(address) }),
    ...(code === undefined ? {} : { code }),
    ...(effect === undefined ? {} : { effect }),
    ...(rule === undefined ? {} : { ruleId: rule }),
    ...statusRange(status),
    ...(fromMs === null ? {} : { fromMs }),
    ...(toMs === null ? {} : { toMs }),
  };
}

function view(row: DecisionRow): Static<typeof Decision> {
  return { ...decisionView(row), trace_id: row.traceId };
}

function viewInFull(row: DecisionRow): Static<typeof DecisionInFull> {
  // Written by `decisionRow`, and by nobody else.
  const detail: DecisionDetail = JSON.parse(row.detail);
  const { rule_reason: reason, auth_method: authentication, profile = null, shadow_rules, ...rest } = detail;
  return { ...view(row), reason, authentication, profile, shadow_rules: [...shadow_rules], ...rest };
}

/** `GET` /v1/decisions and /v1/decisions/{request_id}. */
export function decisionRoutes(app: OperatorApp, { rows, log }: DecisionPorts): void {
  app.get(
    '/decisions',
    {
      config: { scope: 'decisions:read', faults: ['decision_log_off'] },
      schema: {
        operationId: 'listDecisions',
        summary: 'What was decided, newest first; written within a second, and a sample above the budget',
        tags: ['decisions'],
        querystring: Query,
        response: { 200: listOf(Decision) },
      },
    },
    async (request) => {
      if (log === null) throw new OperatorError('decision_log_off');
      try {
        const { items, next } = await rows.list(filterOf(request.query), pageRequest(request.query));
        return { items: items.map(view), next };
      } catch (error) {
        throw error instanceof CursorInvalid ? cursorInvalid() : error;
      }
    },
  );

  app.get(
    '/decisions/:request_id',
    {
      config: { scope: 'decisions:read', faults: ['decision_log_off'] },
      schema: {
        operationId: 'getDecision',
        summary: 'What was decided about one request, why, and how long it took',
        tags: ['decisions'],
        params: Type.Object(
          { request_id: Type.String({ minLength: 1, maxLength: 256 }) },
          { additionalProperties: false },
        ),
        response: { 200: DecisionInFull },
      },
    },
    async (request) => {
      if (log === null) throw new OperatorError('decision_log_off');
      const id = request.params.request_id;
      const row = log.find(id) ?? (await rows.get(id));
      if (row === null)
        throw new OperatorError('resource_unknown', {
          detail: 'No decision has this request id: it was left out by the budget, removed, or never made.',
        });
      return viewInFull(row);
    },
  );
}
