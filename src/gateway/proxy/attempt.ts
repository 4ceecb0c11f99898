import type { Dispatcher } from 'undici';
import type { Permit } from '../breaker/circuit.ts';
import type { Instance } from '../routing/instance.ts';
import type { UpstreamHeaders } from './response-headers.ts';

/** What an attempt tells the delivery it belongs to. */
export interface AttemptListener {
  /** The request is being put on a connection; called again when undici itself sends it a second time. */
  sent(again: boolean): void;
  answered(attempt: Attempt, status: number, headers: UpstreamHeaders): void;
  received(attempt: Attempt, chunk: Buffer): void;
  complete(attempt: Attempt, trailers: UpstreamHeaders | null): void;
  failed(attempt: Attempt, error: Error): void;
}

/** Reason given to undici for giving up; it reaches nobody. */
class Abandoned extends Error {
  constructor() {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super('the exchange was given up');
    Error.stackTraceLimit = limit;
  }
}

/**
 * One request to one instance: undici's handler. It may outlive its delivery, when it was given up while it still waited
 * for a connection; then it only gives back what it holds.
 */
export class Attempt implements Dispatcher.DispatchHandler {
  readonly instance: Instance;
  #listener: AttemptListener | null;
  #controller: Dispatcher.DispatchController | null = null;
  #permit: Permit;
  #settled = false;

  constructor(listener: AttemptListener, instance: Instance) {
    this.#listener = listener;
    this.instance = instance;
    this.#permit = instance.circuit.enter();
    instance.pool.inFlight++;
  }

  /** Whether the request was put on a connection. */
  get wasSent(): boolean {
    return this.#controller !== null;
  }

  get paused(): boolean {
    return this.#controller?.paused ?? false;
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  /** The instance answered; what fails after this counts as a request of its own. */
  succeeded(): void {
    this.instance.circuit.succeed(this.#permit);
    this.#permit = 'closed';
  }

  /** The instance is at fault; counted once. */
  blame(reason: Error): void {
    this.instance.circuit.fail(this.#permit, reason);
    this.#permit = 'refused';
  }

  /** Gives up without blaming anybody. The listener hears nothing more. */
  abandon(): void {
    this.#listener = null;
    this.instance.circuit.release(this.#permit);
    this.#permit = 'refused';
    this.#controller?.abort(new Abandoned());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const again = this.#controller !== null;
    this.#controller = controller;
    if (this.#listener === null) controller.abort(new Abandoned());
    else this.#listener.sent(again);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: UpstreamHeaders,
  ): void {
    this.#listener?.answered(this, status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#listener?.received(this, chunk);
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: UpstreamHeaders | null): void {
    this.#settle();
    this.#listener?.complete(this, trailers);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#settle();
    this.#listener?.failed(this, error);
  }

  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.instance.pool.inFlight--;
  }
}
