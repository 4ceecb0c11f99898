import type { RefusalKind } from '../gateway/refusal.ts';

/** What operators' routes refuse: status, title, detail, retryable. */
const OPERATOR_ERRORS = {
  operator_access_not_configured: [
    403,
    'Operator access is off',
    'No operator key is configured. Set OPERATOR_API_KEY and send it as "Authorization: Bearer …".',
    false,
  ],
  operator_unauthenticated: [
    401,
    'An operator key is required',
    'Send the operator key as "Authorization: Bearer …".',
    false,
  ],
  operator_attempts_limited: [
    429,
    'Too many wrong operator keys',
    'Too many wrong operator keys came from this address. Wait as long as Retry-After says.',
    true,
  ],
} as const;

export type OperatorErrorCode = keyof typeof OPERATOR_ERRORS;

/** Carries no stack, because a stranger can cause it as often as he likes. */
export class OperatorError extends Error {
  /** What the listener answers with. */
  readonly kind: RefusalKind;
  /** For Fastify, which answers by these two where no listener does. */
  readonly statusCode: number;
  readonly code: OperatorErrorCode;

  constructor(code: OperatorErrorCode) {
    const [status, title, detail, retryable] = OPERATOR_ERRORS[code];
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(detail);
    Error.stackTraceLimit = limit;
    this.name = 'OperatorError';
    this.kind = { status, code, title, detail, retryable };
    this.statusCode = status;
    this.code = code;
  }
}
