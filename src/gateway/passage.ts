/**
 * One request on its way along the path: what is known of it so far, its record, and how it is answered. Between the
 * moment its caller is identified and its delivery it stands among the open exchanges, so that a revocation reaches
 * it there too, an upload in progress included.
 */

import type { DigestCheck } from '../trust/wire/content-digest.ts';
import { PATH_REFUSALS } from './errors.ts';
import type { Caller } from './identity/caller.ts';
import type { Origin } from './identity/origins.ts';
import type { RawRequest, RawResponse, RequestTarget } from './listener/target.ts';
import type { CloseReason, OpenExchange } from './proxy/open-exchanges.ts';
import { type RequestRecord, requestFinished, requestStarted, type Transport } from './record.ts';
import { Refused } from './refusal.ts';
import type { RoutedAgent } from './routing/instance.ts';
import { newSpanId, newTraceId, parseTraceparent, type Random32 } from './trace-context.ts';

export interface RecordSource {
  readonly requestId: string;
  readonly transport: Transport;
  readonly method: string;
  readonly path: string;
  readonly address: string;
  readonly traceparent: string | undefined;
  readonly receivedAtMs: number;
  readonly startedAt: number;
}

export function createRecord(source: RecordSource, random: Random32): RequestRecord {
  const parent = parseTraceparent(source.traceparent);
  return {
    requestId: source.requestId,
    traceId: parent === null ? newTraceId(random) : parent.traceId,
    spanId: newSpanId(random),
    parentSpanId: parent === null ? null : parent.parentSpanId,
    // Without a caller's decision every request is traced, where traces are sent at all.
    traceFlags: parent === null ? 1 : parent.flags,
    receivedAtMs: source.receivedAtMs,
    startedAt: source.startedAt,
    identifiedAt: 0,
    decidedAt: 0,
    respondedAt: 0,
    finishedAt: 0,
    transport: source.transport,
    method: source.method,
    path: source.path,
    address: source.address,
    agentId: '',
    caller: null,
    verifyMicroseconds: 0,
    ruleId: '',
    effect: 'none',
    policyRevision: '',
    shadowRules: NONE,
    instance: '',
    attempts: 0,
    status: 0,
    code: '',
    internalReason: '',
    bytesIn: 0,
    bytesOut: 0,
    aborted: false,
  };
}

const NONE: readonly string[] = Object.freeze([]);

/** How a refusal reaches the caller; the WebSocket's differs from the others'. */
export type Answer = (passage: Passage, refused: Refused) => void;

export class Passage implements OpenExchange {
  readonly req: RawRequest;
  readonly res: RawResponse;
  readonly target: RequestTarget;
  readonly record: RequestRecord;
  readonly #answer: Answer;
  /** Set as the path goes on. */
  origin: Origin | null = null;
  agent: RoutedAgent | null = null;
  upstreamTarget = '';
  policyPath = '';
  caller: Caller | null = null;
  body: Buffer | null = null;
  proof: DigestCheck | null = null;
  responseHeaders: readonly string[] = NONE;
  /** True once a refusal was sent or the record was published: whatever still comes back is too late. */
  over = false;

  constructor(
    req: RawRequest,
    res: RawResponse,
    target: RequestTarget,
    record: RequestRecord,
    answer: Answer,
  ) {
    this.req = req;
    this.res = res;
    this.target = target;
    this.record = record;
    this.#answer = answer;
    if (requestStarted.hasSubscribers) requestStarted.publish(record);
  }

  /** Called by the open exchanges while the body is awaited or the nonce is being reserved. */
  close(reason: CloseReason): void {
    this.refuse(
      new Refused(PATH_REFUSALS.caller_revoked, { explanation: `closed while it was checked: ${reason}` }),
    );
  }

  /** The body and the connection have clocks of their own in this phase. */
  tick(): void {
    return;
  }

  /** Answers with a refusal and ends the record; does nothing when the request is over. */
  refuse(refused: Refused): void {
    if (this.over) return;
    const { record } = this;
    record.status = refused.kind.status;
    record.code = refused.kind.code;
    record.internalReason ||= refused.explanation ?? '';
    try {
      this.#answer(this, refused);
    } catch (error) {
      // Refusals are also given from timers, from undici and for revocations, where what escapes would end the process.
      record.internalReason = `the refusal could not be sent: ${String(error)}`;
      this.req.destroy();
    }
    this.finish();
  }

  /** Publishes the record, once. */
  finish(): void {
    if (this.over) return;
    this.over = true;
    this.record.finishedAt = performance.now();
    if (requestFinished.hasSubscribers) requestFinished.publish(this.record);
  }
}
