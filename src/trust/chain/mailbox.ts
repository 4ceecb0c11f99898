/** Holds the newest of the things put in, for one reader that takes its time. */
export interface Mailbox<T> {
  put(value: T): void;
  /** From now on `next` rejects with this, whatever lies in the box. */
  fail(reason: Error): void;
  /** The newest value not taken yet; undefined when `waitMs` pass, or the signal fires, without one. */
  next(waitMs: number, signal: AbortSignal): Promise<T | undefined>;
}

export function createMailbox<T>(): Mailbox<T> {
  let newest: { readonly value: T } | undefined;
  let failure: Error | undefined;
  let wake: (() => void) | undefined;

  function take(): T | undefined {
    if (failure !== undefined) throw failure;
    const taken = newest?.value;
    newest = undefined;
    return taken;
  }

  return {
    put(value) {
      newest = { value };
      wake?.();
    },
    fail(reason) {
      failure ??= reason;
      wake?.();
    },
    async next(waitMs, signal) {
      if (newest === undefined && failure === undefined && !signal.aborted) {
        const arrived = Promise.withResolvers<void>();
        wake = arrived.resolve;
        signal.addEventListener('abort', wake, { once: true });
        const timer = setTimeout(wake, waitMs);
        await arrived.promise;
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        wake = undefined;
      }
      return take();
    },
  };
}
