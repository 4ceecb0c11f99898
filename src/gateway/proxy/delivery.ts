/**
 * Moves one exchange: the request to an instance, the response back to the caller, both as they come and no faster than
 * the other side takes them. Fields and bytes are forwarded as verified; see `request-headers.ts` for what is not.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { type RefusalKind, Refused } from '../refusal.ts';
import type { Instance } from '../routing/instance.ts';
import type { PickInstance } from '../routing/pick.ts';
import { Attempt, type AttemptListener } from './attempt.ts';
import { type Client, clientOf } from './client.ts';
import { PROXY_REFUSALS } from './errors.ts';
import type { Exchange, ExchangeFinished } from './exchange.ts';
import { type Failure, MalformedAnswer, readFailure } from './failure.ts';
import type { CloseReason, OpenExchange, OpenExchanges } from './open-exchanges.ts';
import { isFull, isSaturated } from './pool.ts';
import { upstreamRequestHeaders } from './request-headers.ts';
import { clientResponseHead, clientTrailers, type UpstreamHeaders } from './response-headers.ts';
import { mayTryAgain } from './retry.ts';
import { UploadGate, type UploadListener } from './upload-gate.ts';

/** Interim responses passed on per exchange; an upstream could send them for ever. */
const INTERIM_RESPONSES_MAX = 16;

export interface DeliveryTools {
  readonly exchanges: OpenExchanges;
  readonly pick: PickInstance;
  /** `performance.now()`, for the record's marks. */
  readonly now: () => number;
}

type Phase = 'connecting' | 'sending' | 'awaiting' | 'answering' | 'over';

function blames(status: number): boolean {
  return status === 502 || status === 503 || status === 504;
}

/** Deliveries whose head has come in this turn of the event loop, and perhaps no byte after it. */
let headsOnly: Delivery[] = [];

/** One immediate for all of them: one tick each costs 1.5 us a request. */
function flushSilent(): void {
  const deliveries = headsOnly;
  headsOnly = [];
  for (const delivery of deliveries) delivery.flushIfSilent();
}

export class Delivery implements AttemptListener, OpenExchange, UploadListener {
  readonly #tools: DeliveryTools;
  readonly #exchange: Exchange;
  readonly #finished: ExchangeFinished;
  readonly #client: Client;
  #phase: Phase = 'connecting';
  #attempt: Attempt | null = null;
  #tried: Instance[] | null = null;
  #upload: UploadGate | null = null;
  /** On the clock of `open-exchanges`. */
  #deadlineMs = 0;
  #endMs = Number.POSITIVE_INFINITY;
  #interimResponses = 0;
  /** Bytes of the response still to come, from its Content-Length; -1 when it does not say. */
  #remaining = -1;
  #wrote = false;
  #ended = false;

  constructor(tools: DeliveryTools, exchange: Exchange, finished: ExchangeFinished) {
    this.#tools = tools;
    this.#exchange = exchange;
    this.#finished = finished;
    this.#client = clientOf(exchange);
  }

  get caller(): Exchange['caller'] {
    return this.#exchange.caller;
  }

  start(): void {
    const { record, agent, body } = this.#exchange;
    const { totalMs } = agent.definition.timeouts;
    if (this.#client.gone) {
      // He left while he was identified: his connection's close is past and would never be heard of here.
      record.aborted = true;
      this.#finished(this.#exchange, null);
      return;
    }
    const instance = this.#tools.pick(agent, null);
    if (instance === null) {
      this.#finished(this.#exchange, this.#noInstance());
      return;
    }
    if (isFull(instance.pool)) {
      this.#finished(this.#exchange, new Refused(PROXY_REFUSALS.upstream_busy));
      return;
    }
    this.#tools.exchanges.add(this);
    if (totalMs !== undefined) this.#endMs = this.#tools.exchanges.nowMs + totalMs;
    this.#client.onClose(() => this.#callerGone());
    if (body instanceof Readable) this.#openUpload(body);
    else if (body !== null) record.bytesIn = body.length;
    this.#send(instance);
  }

  /** The best explanation for having nowhere to send: the circuit that will let a request through first. */
  #noInstance(): Refused {
    let soonest: Instance | null = null;
    for (const instance of this.#exchange.agent.instances) {
      if (soonest === null || instance.circuit.retryAfterSeconds() < soonest.circuit.retryAfterSeconds())
        soonest = instance;
    }
    return soonest?.circuit.refusal() ?? new Refused(PROXY_REFUSALS.upstream_unreachable);
  }

  #openUpload(body: Readable): void {
    const upload = new UploadGate(this.#exchange.proof, this);
    this.#upload = upload;
    upload.on('close', () => {
      // What the upstream no longer takes is read and thrown away, or the connection could not carry the answer.
      body.unpipe(upload);
      body.resume();
    });
    // Its failures reach us through undici; before undici listens, through the close of the caller.
    upload.on('error', () => undefined);
    body.pipe(upload);
  }

  #send(instance: Instance): void {
    const { record, req, body, upstreamTarget } = this.#exchange;
    const { pool } = instance;
    this.#phase = 'connecting';
    this.#deadlineMs = this.#tools.exchanges.nowMs + pool.timeouts.connectMs;
    record.attempts++;
    record.instance = instance.origin;
    const attempt = new Attempt(this, instance);
    this.#attempt = attempt;
    const headers = upstreamRequestHeaders(this.#exchange, pool.h2, this.#upload !== null);
    const method = req.method ?? 'GET';
    pool.dispatcher.dispatch(
      { path: upstreamTarget, method, headers, body: this.#upload ?? (body as Buffer | null) },
      attempt,
    );
  }

  sent(again: boolean): void {
    if (again) this.#exchange.record.attempts++;
    this.#phase = this.#upload === null ? 'awaiting' : 'sending';
    this.#refreshDeadline();
  }

  /** A phase begins, or something moved in it. */
  #refreshDeadline(): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    const { timeouts, graceMs } = attempt.instance.pool;
    const allowed = this.#phase === 'awaiting' ? timeouts.headersMs : timeouts.bodyIdleMs;
    this.#deadlineMs = this.#tools.exchanges.nowMs + allowed + graceMs;
  }

  uploaded(bytes: number): void {
    this.#exchange.record.bytesIn += bytes;
    if (this.#phase === 'sending' || this.#phase === 'answering') this.#refreshDeadline();
  }

  uploadComplete(): void {
    if (this.#phase !== 'sending') return;
    this.#phase = 'awaiting';
    this.#refreshDeadline();
  }

  answered(attempt: Attempt, status: number, headers: UpstreamHeaders): void {
    if (this.#client.gone) {
      this.#callerGone();
      return;
    }
    if (status < 200) {
      this.#inform(status, headers);
      return;
    }
    const { record, req, responseHeaders } = this.#exchange;
    if (blames(status)) attempt.blame(new Error(`the upstream answered ${status}`));
    else attempt.succeeded();
    const noContent = status === 204;
    const bodiless = noContent || status === 304 || req.method === 'HEAD';
    const trailers = !bodiless && this.#client.trailersPossible;
    const head = clientResponseHead(headers, noContent, trailers, responseHeaders);
    try {
      this.#client.head(status, head.fields, head.contentLength);
    } catch (cause) {
      // Thrown into undici, which ends the attempt and reports it as failed.
      throw new MalformedAnswer('the response has a field that cannot be passed on', { cause });
    }
    record.respondedAt = this.#tools.now();
    record.status = status;
    this.#remaining = bodiless ? -1 : head.contentLength;
    this.#phase = 'answering';
    this.#refreshDeadline();
    // Head and first bytes usually arrive together and leave together; if not, the head goes alone, at once.
    if (!bodiless && headsOnly.push(this) === 1) setImmediate(flushSilent);
  }

  #inform(status: number, headers: UpstreamHeaders): void {
    // 100 is answered by the listener; 101 cannot come, since no upgrade is asked for here.
    if (status <= 101 || this.#interimResponses === INTERIM_RESPONSES_MAX) return;
    this.#interimResponses++;
    try {
      this.#client.inform(status, headers);
    } catch (error) {
      // An interim response is a hint: one that Node will not send is left out.
      this.#exchange.record.internalReason = `interim response not passed on: ${String(error)}`;
    }
  }

  flushIfSilent(): void {
    if (this.#wrote || this.#ended || this.#phase !== 'answering') return;
    this.#wrote = true;
    if (!this.#client.gone) this.#client.flush();
  }

  received(attempt: Attempt, chunk: Buffer): void {
    this.#exchange.record.bytesOut += chunk.length;
    this.#wrote = true;
    if (this.#remaining >= 0) {
      this.#remaining -= chunk.length;
      if (this.#remaining === 0) {
        // The stated length is reached: ending with these bytes saves a write of nothing.
        this.#ended = true;
        this.#client.end(chunk, null);
        return;
      }
    }
    this.#deadlineMs = this.#tools.exchanges.nowMs + attempt.instance.pool.timeouts.bodyIdleMs;
    if (this.#client.write(chunk)) return;
    attempt.pause();
    this.#client.onDrain(() => {
      this.#refreshDeadline();
      attempt.resume();
    });
  }

  complete(_attempt: Attempt, trailers: UpstreamHeaders | null): void {
    if (!this.#ended) {
      this.#ended = true;
      this.#client.end(null, clientTrailers(trailers));
    }
    this.#finish(null);
  }

  failed(attempt: Attempt, error: Error): void {
    if (this.#phase === 'over') return;
    // All of the response was here already; how its connection ends is no longer of interest.
    if (this.#ended) {
      this.#finish(null);
      return;
    }
    const failure = readFailure(error, attempt.wasSent);
    // Who closes on a caller that dawdles is not broken; else callers could open the circuit of a healthy instance.
    if (failure.upstreamFault && !this.#waitsForCaller()) attempt.blame(error);
    else attempt.abandon();
    if (!this.#client.headSent) {
      const next = this.#nextInstance(attempt, failure);
      if (next !== null) {
        this.#send(next);
        return;
      }
    }
    this.#giveUp(failure.refusal);
  }

  /** Where to try again, or null when it is not safe, not allowed any more, or nowhere is left. */
  #nextInstance(attempt: Attempt, failure: Failure): Instance | null {
    const { record, req, agent } = this.#exchange;
    if (this.#upload !== null) return null;
    if (!mayTryAgain(failure, req.method ?? '', record.attempts, agent.definition.retries)) return null;
    const failed = attempt.instance;
    this.#tried ??= [];
    this.#tried.push(failed);
    const other = this.#tools.pick(agent, this.#tried);
    if (other !== null && !isFull(other.pool)) return other;
    // A connection that broke may have been an idle one the upstream was closing; one that could not be made will not be.
    return attempt.wasSent && failed.circuit.permits() ? failed : null;
  }

  /** The caller's connection or stream has closed. */
  #callerGone(): void {
    if (this.#phase === 'over') return;
    const { record } = this.#exchange;
    record.aborted = true;
    if (!this.#client.headSent) record.status = 0;
    this.#abandonAttempt();
    this.#finish(null);
  }

  close(reason: CloseReason): void {
    if (this.#phase === 'over') return;
    this.#abandonAttempt();
    this.#giveUp(
      new Refused(PROXY_REFUSALS.exchange_revoked, { explanation: `closed while under way: ${reason}` }),
    );
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#endMs) {
      this.#timeOut('the whole exchange took too long', true);
      return;
    }
    if (nowMs < this.#deadlineMs) return;
    const attempt = this.#attempt;
    // While paused it is the caller who does not read.
    const upstreamFault = attempt?.paused !== true;
    switch (this.#phase) {
      case 'connecting':
        this.#neverStarted();
        break;
      case 'sending':
        this.#uploadStalled();
        break;
      case 'awaiting':
        this.#timeOut('no response head in time', true);
        break;
      case 'answering':
        this.#timeOut(
          upstreamFault ? 'the response body stalled' : 'the caller stopped reading',
          upstreamFault,
        );
        break;
    }
  }

  #neverStarted(): void {
    if (this.#attempt === null || !isSaturated(this.#attempt.instance.pool)) {
      this.#timeOut('no connection in time', true);
      return;
    }
    this.#abandonAttempt();
    this.#giveUp(
      new Refused(PROXY_REFUSALS.upstream_busy, { explanation: 'no connection became free in time' }),
    );
  }

  /** Whether the caller's next bytes are what everybody waits for: full on its way, it is the upstream that does not read. */
  #waitsForCaller(): boolean {
    const upload = this.#upload;
    if (upload === null || this.#phase !== 'sending') return false;
    return !upload.writableNeedDrain && upload.readableLength === 0;
  }

  #uploadStalled(): void {
    if (!this.#waitsForCaller()) {
      this.#timeOut('the upstream stopped reading', true);
      return;
    }
    this.#abandonAttempt();
    this.#giveUp(new Refused(PROXY_REFUSALS.request_body_timeout));
  }

  #timeOut(explanation: string, upstreamFault: boolean): void {
    const kind: RefusalKind = PROXY_REFUSALS.upstream_timeout;
    const refusal = new Refused(kind, { explanation });
    if (upstreamFault) this.#attempt?.blame(refusal);
    this.#abandonAttempt();
    this.#giveUp(refusal);
  }

  #abandonAttempt(): void {
    const attempt = this.#attempt;
    this.#attempt = null;
    attempt?.abandon();
  }

  /** Tells the caller, or, when the response has begun, makes sure that it cannot be taken for a whole one. */
  #giveUp(refusal: Refused): void {
    this.#exchange.record.internalReason = refusal.message;
    if (!this.#client.headSent) {
      this.#finish(refusal);
      return;
    }
    this.#client.reset();
    this.#finish(null);
  }

  #finish(refusal: Refused | null): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#tools.exchanges.delete(this);
    if (this.#upload !== null) this.#closeUpload(this.#upload, refusal);
    this.#finished(this.#exchange, refusal);
  }

  #closeUpload(upload: UploadGate, refusal: Refused | null): void {
    if (!upload.destroyed) upload.destroy();
    // The rest of the body would follow on the same connection; an HTTP/1.1 one is closed after the answer instead.
    const complete = (this.#exchange.req as IncomingMessage).complete;
    if (refusal !== null && !complete && 'shouldKeepAlive' in this.#exchange.res)
      this.#exchange.res.shouldKeepAlive = false;
  }
}
