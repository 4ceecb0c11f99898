/**
 * The process's logger: JSON lines by pino, redacted by name, by shape and by value (`redaction.ts`), written
 * without blocking the event loop, and bounded when whoever reads standard output has stopped reading.
 */
import { type DestinationStream, type Logger, destination as openDestination, pino } from 'pino';
import { createScrubber, redactMembers } from './redaction.ts';

export interface LoggerOptions {
  readonly level: string;
  /** Where lines go; standard output when left out. */
  readonly destination?: DestinationStream;
  /** Configured secrets (keys, passwords), masked wherever they turn up. */
  readonly secrets?: readonly string[];
}

/** Bytes waiting for a reader that has stopped; what comes after is dropped, since memory is worth more than lines. */
const BUFFERED_BYTES_MAX = 8 * 1024 * 1024;

interface RequestLike {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly url?: unknown;
}

/** Fastify's own lines about a request: never its query, its fields or its peer's port. */
function serializeRequest(request: RequestLike): Record<string, unknown> {
  const url = typeof request.url === 'string' ? request.url : '';
  return { method: request.method, path: url.split('?', 1)[0]?.slice(0, 1024) };
}

function serializeReply(reply: { readonly statusCode?: unknown }): Record<string, unknown> {
  return { status: reply.statusCode };
}

/** `redactMembers`, but a getter that throws costs the line its members, not the caller its request. */
function safeMembers(value: object): Record<string, unknown> {
  try {
    return redactMembers(value);
  } catch (error) {
    return { unprintable: error instanceof Error ? error.name : typeof error };
  }
}

/** `req` and `res` are read by their serializers before the walk, which would print all of a request object. */
function redactLine(line: object): Record<string, unknown> {
  if (!('req' in line) && !('res' in line)) return safeMembers(line);
  const { req, res, ...rest } = line as { req?: RequestLike; res?: object };
  const clean = safeMembers(rest);
  if (req !== undefined && req !== null) clean.req = serializeRequest(req);
  if (res !== undefined && res !== null) clean.res = serializeReply(res);
  return clean;
}

/**
 * pino gives a child's bindings to serializers but resets the bindings formatter for children, so a secret in
 * `child({ … })` would pass; every child inherits this `child` instead.
 */
function guardChildren(logger: Logger): Logger {
  // Unbound on purpose: a grandchild's `child` must see the child as `this`.
  const plain = Reflect.get(logger, 'child') as unknown as (
    this: Logger,
    bindings: object,
    options?: object,
  ) => Logger;
  const guarded = function child(this: Logger, bindings: object, options?: object): Logger {
    return plain.call(this, redactLine(bindings), options);
  };
  Object.defineProperty(logger, 'child', { value: guarded });
  return logger;
}

/** `,"time":"2026-01-31T12:00:00.000Z"`; the date is written anew once a second, for it costs as much as the line. */
function createTimestamp(): () => string {
  let second = -1;
  let prefix = '';
  return () => {
    const nowMs = Date.now();
    const nowSecond = Math.floor(nowMs / 1000);
    if (nowSecond !== second) {
      second = nowSecond;
      prefix = new Date(nowSecond * 1000).toISOString().slice(0, -4);
    }
    return `,"time":"${prefix}${String(nowMs - second * 1000).padStart(3, '0')}Z"`;
  };
}

/**
 * Makes the logger; hand it to Fastify as `loggerInstance` with `disableRequestLogging: true`, since the one
 * line about a request is made from its record (`request-log.ts`). Lines are flushed at exit.
 */
export function createLogger(options: LoggerOptions): Logger {
  const stream =
    options.destination ?? openDestination({ dest: 1, sync: false, maxLength: BUFFERED_BYTES_MAX });
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: createTimestamp(),
      formatters: { level: (label) => ({ level: label }), log: redactLine, bindings: safeMembers },
      // Errors were made plain by the formatter; pino's own serializer would read `err.config` and their like anew.
      serializers: { req: (value) => value, res: (value) => value, err: (value) => value },
      hooks: { streamWrite: createScrubber(options.secrets ?? []) },
    },
    stream,
  );
  return guardChildren(logger);
}

/** A logger whose every line carries the request's ids; make it only when there is something to say. */
export function logFor(
  logger: Logger,
  request: { readonly requestId: string; readonly traceId: string },
): Logger {
  return logger.child({ request_id: request.requestId, trace_id: request.traceId });
}
