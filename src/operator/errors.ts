/** What operators' routes refuse. `statusCode`, `code` and `message` are what the listener turns into problem+json. */
const OPERATOR_ERRORS = {
  operator_access_not_configured: [
    403,
    'No operator key is configured. Set OPERATOR_API_KEY and send it as "Authorization: Bearer …".',
  ],
  operator_unauthenticated: [401, 'Send the operator key as "Authorization: Bearer …".'],
  operator_attempts_limited: [
    429,
    'Too many wrong operator keys came from this address. Wait as long as Retry-After says.',
  ],
} as const;

export type OperatorErrorCode = keyof typeof OPERATOR_ERRORS;

/** Carries no stack, because a stranger can cause it as often as he likes. */
export class OperatorError extends Error {
  readonly statusCode: number;
  readonly code: OperatorErrorCode;

  constructor(code: OperatorErrorCode) {
    const [statusCode, message] = OPERATOR_ERRORS[code];
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = limit;
    this.name = 'OperatorError';
    this.statusCode = statusCode;
    this.code = code;
  }
}
