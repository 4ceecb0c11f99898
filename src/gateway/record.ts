/**
 * The one record of a request: the path fills it, `node:diagnostics_channel` carries it, and metrics, traces,
 * log and audit are made from it. There is one record, not six.
 */
import { channel } from 'node:diagnostics_channel';
import type { Caller } from './identity/caller.ts';

/** Published once, when the last byte has been handed over or the exchange was given up. */
const REQUEST_FINISHED = 'sage:request.finished';
/** Published when a request has been accepted, before anything was checked. */
const REQUEST_STARTED = 'sage:request.started';

export type Transport = 'http/1.1' | 'h2' | 'websocket';

export interface RequestRecord {
  readonly requestId: string;
  /** Lower-case hex of 32 digits, from the caller's traceparent or made here. */
  traceId: string;
  /** Lower-case hex of 16 digits: this hop's span, the parent of the upstream's. */
  spanId: string;
  /** The caller's span, or null. */
  readonly parentSpanId: string | null;
  traceFlags: number;
  /** Milliseconds since the epoch when the request line and fields had been read. */
  readonly receivedAtMs: number;
  /** `performance.now()` at that moment; the other `*At` marks are on the same clock, 0 while not reached. */
  readonly startedAt: number;
  identifiedAt: number;
  decidedAt: number;
  /** When the upstream's response head arrived. */
  respondedAt: number;
  finishedAt: number;
  readonly transport: Transport;
  readonly method: string;
  /** Path without query: queries carry secrets and are never recorded. */
  readonly path: string;
  /** The source address after TRUSTED_PROXIES. */
  readonly address: string;
  agentId: string;
  caller: Caller | null;
  /** Microseconds spent in the signature primitive alone, 0 when none ran. */
  verifyMicroseconds: number;
  ruleId: string;
  effect: 'allow' | 'deny' | 'none';
  policyRevision: string;
  shadowRules: readonly string[];
  /** Origin of the instance that answered, or empty. */
  instance: string;
  attempts: number;
  /** The status sent to the caller; 101 for a WebSocket, 0 when the caller went away first. */
  status: number;
  /** Refusal code, or empty when the request was delivered. */
  code: string;
  /** What went wrong inside, for the log only. */
  internalReason: string;
  bytesIn: number;
  bytesOut: number;
  /** True when the caller aborted before the response was complete. */
  aborted: boolean;
}

export const requestStarted = channel(REQUEST_STARTED);
export const requestFinished = channel(REQUEST_FINISHED);
