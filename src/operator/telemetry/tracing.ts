/**
 * Spans, made from the record when a request has finished: a server span and, below it, identify, decide and
 * deliver. Nothing of OpenTelemetry runs while the request does.
 *
 * The server span must have the very ids that the path has already sent upstream in `traceparent`. The API has no way
 * to ask for ids, but the SDK asks an `IdGenerator`: ours gives out what was laid into it just before (`SpanIds`).
 */
import {
  type Attributes,
  type HrTime,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { RequestRecord } from '../../gateway/record.ts';

/** Ids for the next span; whoever starts a span takes them. */
export interface SpanIds {
  /** Lays out the ids of the span that is started next, in the same turn of the event loop. */
  next(traceId: string, spanId: string): void;
}

export interface Tracing {
  readonly finished: (record: RequestRecord) => void;
  /** Sends what is queued, for at most `SHUTDOWN_MS`, and closes connections. Never rejects. */
  readonly close: () => Promise<void>;
}

export interface TracingOptions {
  readonly tracer: Tracer;
  readonly ids: SpanIds;
  /** `https` when the listener speaks TLS (semantic conventions: `url.scheme`). */
  readonly scheme: 'http' | 'https';
}

const SAMPLED = 1;
/** Other methods are reported as `_OTHER`, since a span's name must not be a stranger's to choose. */
const METHODS = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'QUERY',
]);

/** `epochMs` as seconds and nanoseconds. A bare number would be read as `performance.now()` when it is small. */
function hrTime(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.round((epochMs - seconds * 1000) * 1e6)];
}

/** OpenTelemetry's semantic conventions for HTTP server spans; no query, no field values. */
function attributesOf(record: RequestRecord, scheme: string): Attributes {
  const known = METHODS.has(record.method);
  const attributes: Attributes = {
    'http.request.method': known ? record.method : '_OTHER',
    'http.route': '/agents/:id/*',
    'url.path': record.path,
    'url.scheme': scheme,
    'network.protocol.name': 'http',
    'network.protocol.version': record.transport === 'h2' ? '2' : '1.1',
    'client.address': record.address,
    'http.request.body.size': record.bytesIn,
    'http.response.body.size': record.bytesOut,
    'sage.request.id': record.requestId,
    'sage.agent.id': record.agentId,
    'sage.policy.effect': record.effect,
    'sage.upstream.attempts': record.attempts,
  };
  if (!known) attributes['http.request.method_original'] = record.method.slice(0, 32);
  if (record.status !== 0) attributes['http.response.status_code'] = record.status;
  if (record.transport === 'websocket') attributes['sage.websocket'] = true;
  if (record.caller !== null && record.caller.did !== '') attributes['sage.caller.did'] = record.caller.did;
  if (record.caller !== null) attributes['sage.auth.method'] = record.caller.method;
  if (record.ruleId !== '') attributes['sage.policy.rule'] = record.ruleId;
  if (record.policyRevision !== '') attributes['sage.policy.revision'] = record.policyRevision;
  if (record.instance !== '') attributes['sage.upstream.instance'] = record.instance;
  if (record.code !== '') attributes['sage.refusal.code'] = record.code;
  if (record.aborted) attributes['sage.aborted'] = true;
  const error = errorType(record);
  if (error !== null) attributes['error.type'] = error;
  return attributes;
}

/** A server span is an error from 500 up; what the caller did wrong is not ours (semantic conventions, "Status"). */
function errorType(record: RequestRecord): string | null {
  if (record.status >= 500) return record.code === '' ? String(record.status) : record.code;
  return record.aborted ? 'aborted' : null;
}

interface Step {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly kind: SpanKind;
}

/** The steps that were begun; the one that was not finished ends with the request. */
function stepsOf(record: RequestRecord): Step[] {
  const { startedAt, identifiedAt, decidedAt, finishedAt } = record;
  const steps: Step[] = [
    { name: 'identify', from: startedAt, to: identifiedAt || finishedAt, kind: SpanKind.INTERNAL },
  ];
  if (identifiedAt === 0) return steps;
  steps.push({ name: 'decide', from: identifiedAt, to: decidedAt || finishedAt, kind: SpanKind.INTERNAL });
  if (decidedAt === 0 || record.effect === 'deny') return steps;
  steps.push({ name: 'deliver', from: decidedAt, to: finishedAt, kind: SpanKind.CLIENT });
  return steps;
}

/** Makes spans with `options.tracer`; `close` is the SDK's. */
export function createTracing(options: TracingOptions, close: () => Promise<void>): Tracing {
  const { tracer, ids, scheme } = options;
  return {
    close,
    finished(record) {
      if ((record.traceFlags & SAMPLED) === 0) return;
      const at = (mark: number): HrTime => hrTime(record.receivedAtMs + (mark - record.startedAt));
      const parent =
        record.parentSpanId === null
          ? ROOT_CONTEXT
          : trace.setSpanContext(ROOT_CONTEXT, {
              traceId: record.traceId,
              spanId: record.parentSpanId,
              traceFlags: record.traceFlags,
              isRemote: true,
            });
      const method = METHODS.has(record.method) ? record.method : 'HTTP';
      ids.next(record.traceId, record.spanId);
      const server = tracer.startSpan(
        `${method} /agents/:id/*`,
        {
          kind: SpanKind.SERVER,
          startTime: hrTime(record.receivedAtMs),
          attributes: attributesOf(record, scheme),
        },
        parent,
      );
      if (errorType(record) !== null) server.setStatus({ code: SpanStatusCode.ERROR });
      const context = trace.setSpan(ROOT_CONTEXT, server);
      for (const { name, from, to, kind } of stepsOf(record)) {
        tracer.startSpan(name, { kind, startTime: at(from) }, context).end(at(to));
      }
      server.end(at(record.finishedAt));
    },
  };
}
