import type { RefusalKind } from '../gateway/refusal.ts';

/** What operators' routes refuse: status, title, detail, retryable. */
const OPERATOR_ERRORS = {
  operator_access_not_configured: [
    403,
    'Operator access is off',
    'Nothing is configured that opens these routes. Set OPERATOR_API_KEY and send it as "Authorization: Bearer …".',
    false,
  ],
  operator_unauthenticated: [
    401,
    'An operator credential is required',
    'Send an operator key or token as "Authorization: Bearer …", or sign the request with the key of an operator.',
    false,
  ],
  operator_forbidden: [403, 'Not allowed', 'The credential does not allow this.', false],
  operator_attempts_limited: [
    429,
    'Too many wrong operator credentials',
    'Too many wrong credentials came from this address. Wait as long as Retry-After says.',
    true,
  ],
  request_invalid: [400, 'Invalid request', 'The request does not have the form this route asks for.', false],
  body_not_json: [400, 'Body is not JSON', 'The body cannot be read as JSON (RFC 8259).', false],
  resource_unknown: [404, 'Not found', 'There is nothing at this path.', false],
  method_not_allowed: [405, 'Method not allowed', 'The methods served here stand in Allow.', false],
  resource_exists: [409, 'Exists already', 'There is one with this name already.', false],
  agent_from_file: [
    409,
    'Agent of the configuration file',
    'This agent stands in sage.yaml, which wins: change it there.',
    false,
  ],
  last_admin: [
    409,
    'Last admin',
    'Nobody could administer the gateway after this. Create another admin first.',
    false,
  ],
  resource_limit_reached: [
    409,
    'Too many',
    'There are as many of these as there may be. Remove some.',
    false,
  ],
  decision_log_off: [
    409,
    'Decisions are not logged',
    'DECISION_LOG_PER_SECOND is 0 on this node, so there are no decisions to show.',
    false,
  ],
  shared_store_required: [
    409,
    'A shared store is required',
    'Other nodes are running and would not see this change. Give all nodes one DATABASE_URL.',
    false,
  ],
  idempotency_running: [
    409,
    'Request is running',
    'A request with this Idempotency-Key has not ended yet. Ask again after Retry-After.',
    true,
  ],
  resource_changed: [
    412,
    'Changed meanwhile',
    'If-Match names another version than there is. Read it again and repeat the change.',
    false,
  ],
  body_too_large: [413, 'Body too large', 'The body is longer than this route accepts.', false],
  media_type_unsupported: [
    415,
    'Unsupported media type',
    'This route does not read bodies of that Content-Type.',
    false,
  ],
  idempotency_key_reused: [
    422,
    'Idempotency key reused',
    'This Idempotency-Key was used for another request. Take a new one.',
    false,
  ],
  upgrade_required: [
    426,
    'A WebSocket is required',
    'This route speaks WebSocket (RFC 6455) over HTTP/1.1 and nothing else.',
    false,
  ],
  policy_invalid: [422, 'Policy is invalid', 'The policy cannot be used; `errors` says why.', false],
  agent_invalid: [422, 'Agent is invalid', 'The agent cannot be used; `errors` says why.', false],
  revocation_invalid: [422, 'Revocation is invalid', 'This cannot be denied; `errors` says why.', false],
  internal_error: [
    500,
    'Internal error',
    'The gateway failed to handle this request. Quote the request id when you report it.',
    true,
  ],
  identity_provider_unavailable: [
    503,
    'Identity provider unavailable',
    'The keys of OIDC_ISSUER cannot be read now, so the token cannot be checked.',
    true,
  ],
  stream_unavailable: [
    503,
    'The stream takes no more clients',
    'As many clients read it as may, or the gateway is shutting down.',
    true,
  ],
  store_unavailable: [
    503,
    'Store unavailable',
    'The database does not answer. A change that was under way may have been made.',
    true,
  ],
  store_read_only: [503, 'Store is read-only', 'The database takes no writes. Nothing was changed.', true],
  store_full: [503, 'Store is full', 'The database has no room left. Nothing was changed.', true],
  store_busy: [503, 'Store is busy', 'Too many calls wait for the database. Nothing was changed.', true],
} as const;

export type OperatorErrorCode = keyof typeof OPERATOR_ERRORS;

/** One thing that is wrong with a request; `path` is a JSON pointer into the body, or names the query or path member. */
export interface FaultView {
  readonly path: string;
  readonly message: string;
}

export interface OperatorErrorContext {
  /** Says it more precisely than the catalogue; public. */
  readonly detail?: string;
  readonly errors?: readonly object[];
  /** Response fields that belong to it, flat name, value pairs. */
  readonly headers?: readonly string[];
}

/** What the listener and these routes answer with. */
export function kindOf(code: OperatorErrorCode): RefusalKind {
  const [status, title, detail, retryable] = OPERATOR_ERRORS[code];
  return { status, code, title, detail, retryable };
}

/** Carries no stack, because a stranger can cause it as often as he likes. */
export class OperatorError extends Error {
  readonly kind: RefusalKind;
  /** For Fastify, which answers by these two where no listener does. */
  readonly statusCode: number;
  readonly code: OperatorErrorCode;
  /** Member `errors` of the answer: what is wrong, one by one. */
  readonly errors: readonly object[];
  readonly headers: readonly string[];

  constructor(code: OperatorErrorCode, context: OperatorErrorContext = {}) {
    const kind = kindOf(code);
    const detail = context.detail ?? kind.detail;
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(detail);
    Error.stackTraceLimit = limit;
    this.name = 'OperatorError';
    this.kind = { ...kind, detail };
    this.statusCode = kind.status;
    this.code = code;
    this.errors = context.errors ?? [];
    this.headers = context.headers ?? [];
  }
}
