/** Every fault of the operators' routes as `application/problem+json` (RFC 9457). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { RefusalKind } from '../../gateway/refusal.ts';
import {
  CursorInvalid,
  RedisUnavailable,
  RowChanged,
  RowExists,
  RowMissing,
  StoreBusy,
  StoreFull,
  StoreReadOnly,
  StoreUnavailable,
} from '../../store/errors.ts';
import { OperatorError, type OperatorErrorCode } from '../errors.ts';
import { cursorInvalid } from './pagination.ts';
import { RequestInvalid } from './validation.ts';

const MEDIA_TYPE = 'application/problem+json';
/** Seconds after which a store that failed is worth another try; a queue drains sooner than a server restarts. */
const RETRY_AFTER_S = { store_busy: 1, store_unavailable: 5, store_read_only: 30, store_full: 30 } as const;

/** For the OpenAPI document. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: '`urn:sage:problem:<code>`' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable; what each means stands in docs/errors.md.' }),
    detail: Type.String(),
    request_id: Type.String(),
    retryable: Type.Boolean({ description: 'Whether the same request may succeed later.' }),
    errors: Type.Optional(
      Type.Array(Type.Object({ message: Type.String() }, { additionalProperties: true }), {
        description:
          'What is wrong with the request, one by one: `path` and `message`, or `line`, `column` and `message`.',
      }),
    ),
  },
  { title: 'Problem', description: 'RFC 9457' },
);

interface Problem {
  readonly kind: RefusalKind;
  readonly errors: readonly object[];
  readonly headers: readonly string[];
}

function problem(
  code: OperatorErrorCode,
  context: ConstructorParameters<typeof OperatorError>[1] = {},
): Problem {
  return new OperatorError(code, context);
}

function storeProblem(code: keyof typeof RETRY_AFTER_S): Problem {
  return problem(code, { headers: ['retry-after', String(RETRY_AFTER_S[code])] });
}

/** What the store refuses; the rows' own faults are the caller's. */
function ofStore(error: unknown): Problem | null {
  if (error instanceof RedisUnavailable)
    return problem('store_unavailable', {
      detail: 'Redis, by which the nodes tell each other, does not answer. Nothing was changed.',
      headers: ['retry-after', String(RETRY_AFTER_S.store_unavailable)],
    });
  if (error instanceof StoreUnavailable) return storeProblem('store_unavailable');
  if (error instanceof StoreReadOnly) return storeProblem('store_read_only');
  if (error instanceof StoreFull) return storeProblem('store_full');
  if (error instanceof StoreBusy) return storeProblem('store_busy');
  if (error instanceof CursorInvalid) return cursorInvalid();
  if (error instanceof RowExists) return problem('resource_exists');
  if (error instanceof RowMissing) return problem('resource_unknown');
  if (error instanceof RowChanged) return problem('resource_changed');
  return null;
}

/** Fastify's own codes: its texts name internals, so ours are sent. */
function ofFastify(code: string | undefined, status: number | undefined): Problem | null {
  switch (code) {
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return problem('body_not_json');
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return problem('body_too_large');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return problem('media_type_unsupported');
    default:
      return status !== undefined && status >= 400 && status < 500 ? problem('request_invalid') : null;
  }
}

interface Known {
  readonly code?: string;
  readonly statusCode?: number;
  readonly kind?: RefusalKind;
  readonly headers?: readonly string[];
  readonly faults?: readonly object[];
}

function problemOf(error: unknown, request: FastifyRequest): Problem {
  if (error instanceof OperatorError) return error;
  if (error instanceof RequestInvalid) return problem('request_invalid', { errors: error.faults });
  const stored = ofStore(error);
  if (stored !== null) {
    if (stored.kind.status >= 500)
      request.log.warn({ err: error, reqId: request.id }, 'the store failed a request');
    return stored;
  }
  const { kind, headers = [], code, statusCode } = error as Known;
  // Refusals of the path (a limit, a signature) bring their kind along; this room may not import their class.
  if (kind !== undefined) return { kind, headers, errors: [] };
  const fault = ofFastify(code, statusCode);
  if (fault !== null) return fault;
  // The stack goes to the log and nowhere else.
  request.log.error({ err: error, reqId: request.id }, 'a request failed');
  return problem('internal_error');
}

/**
 * Answers with the problem document of an error, whatever it is.
 * @param onRefused hears its code
 */
function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  onRefused: (code: string) => void,
): FastifyReply {
  const { kind, errors, headers } = problemOf(error, request);
  onRefused(kind.code);
  for (let i = 0; i < headers.length; i += 2) reply.header(headers[i] as string, headers[i + 1]);
  const body = {
    type: `urn:sage:problem:${kind.code}`,
    title: kind.title,
    status: kind.status,
    code: kind.code,
    detail: kind.detail,
    request_id: request.id,
    retryable: kind.retryable,
    ...(errors.length === 0 ? {} : { errors }),
  };
  return (
    reply
      .code(kind.status)
      .header('content-type', MEDIA_TYPE)
      // As bytes, because Fastify adds a charset to the media type of a text, and problem+json has none.
      .send(Buffer.from(JSON.stringify(body)))
  );
}

/** Every fault of this scope's routes becomes a problem document, and its code is heard. */
export function answerWithProblems(app: FastifyInstance, onRefused: (code: string) => void): void {
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, onRefused));
}
