/**
 * A refusal is the gateway's answer to a request it will not deliver. Each folder of the path declares its
 * own catalogue of kinds with `defineRefusals` in its `errors.ts`; the listener turns a `Refused` into
 * `application/problem+json` (RFC 9457).
 */

/** One kind of refusal: what the public may read. */
export interface RefusalKind {
  /** HTTP status of the answer. */
  readonly status: number;
  /** Stable, lower-case, documented in `docs/errors.md`. */
  readonly code: string;
  readonly title: string;
  /** What the caller should do about it; never names internals. */
  readonly detail: string;
  /** Whether the same request, signed anew, may succeed later. */
  readonly retryable: boolean;
}

export interface RefusalContext {
  /** For the log and, with EXPLAIN_REFUSALS, for the caller: which component failed, what was expected. */
  readonly explanation?: string;
  /** Extra members shown with EXPLAIN_REFUSALS, such as `signature_base`. */
  readonly evidence?: Readonly<Record<string, string | number | boolean>>;
  /** Response headers that belong to this refusal, such as Retry-After; flat name, value pairs. */
  readonly headers?: readonly string[];
  readonly cause?: unknown;
}

/** Thrown on the path; carries no stack, because a stranger can cause it as often as he likes. */
export class Refused extends Error {
  readonly kind: RefusalKind;
  readonly explanation: string | undefined;
  readonly evidence: Readonly<Record<string, string | number | boolean>> | undefined;
  readonly headers: readonly string[];

  constructor(kind: RefusalKind, context: RefusalContext = {}) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(
      context.explanation ?? kind.detail,
      context.cause === undefined ? undefined : { cause: context.cause },
    );
    Error.stackTraceLimit = limit;
    this.name = 'Refused';
    this.kind = kind;
    this.explanation = context.explanation;
    this.evidence = context.evidence;
    this.headers = context.headers ?? [];
  }
}

/** Declares a folder's catalogue; the key is the code: `defineRefusals({ nonce_replayed: [401, title, detail, retryable] })`. */
export function defineRefusals<K extends string>(
  table: Record<K, readonly [status: number, title: string, detail: string, retryable: boolean]>,
): Readonly<Record<K, RefusalKind>> {
  const kinds = {} as Record<K, RefusalKind>;
  for (const code of Object.keys(table) as K[]) {
    const [status, title, detail, retryable] = table[code];
    kinds[code] = Object.freeze({ status, code, title, detail, retryable });
  }
  return Object.freeze(kinds);
}
