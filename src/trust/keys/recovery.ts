/**
 * Recoveries of public keys where the addon of `secp256k1` does not load: 1.5 ms each in JavaScript, so a thread of our
 * own does them, one after the other. The first starts it, and an account needs them only until it is known.
 */
import { Worker } from 'node:worker_threads';
import { VerificationBusy } from './errors.ts';

/** Under way or waiting at once: some 50 ms of work. Past it a check fails at once rather than queue. */
export const RECOVERIES_MAX = 32;
/** Started and asked for all of them, the thread is done in a fifth of a second: silent for longer, it is idle or hangs, and is ended. */
const SILENCE_MAX_MS = 10_000;
const HEAP_MB = 64;

/** Sources run as they are; the package runs from `dist`, where the same file ends in `.js`, as this one does. */
const SOURCE = new URL('./recovery-thread.ts', import.meta.url);
const ENTRY = import.meta.url.endsWith('.ts') ? SOURCE : new URL(SOURCE.href.replace(/\.ts$/, '.js'));

/** What the thread is asked. */
export interface RecoverableSignature {
  /** 32 bytes. */
  readonly digest: Uint8Array;
  /** r and s, 64 bytes. */
  readonly signature: Uint8Array;
  readonly recoveryId: 0 | 1;
}

/** The uncompressed point, or null where there is none. */
type Recovered = Uint8Array | null;

class RecoveryThread {
  readonly #worker: Worker;
  /** It answers in the order it was asked. */
  readonly #asked: PromiseWithResolvers<Recovered>[] = [];
  readonly #silence: NodeJS.Timeout;

  constructor() {
    this.#worker = new Worker(ENTRY, {
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
      env: {},
      execArgv: [],
    });
    this.#silence = setTimeout(() => this.#end(), SILENCE_MAX_MS).unref();
    this.#worker.on('message', (point: Recovered) => this.#answered(point));
    this.#worker.once('error', () => this.#end());
    this.#worker.once('exit', () => this.#end());
  }

  get asked(): number {
    return this.#asked.length;
  }

  recover(signature: RecoverableSignature): Promise<Recovered> {
    const answer = Promise.withResolvers<Recovered>();
    if (this.#asked.push(answer) === 1) {
      // Whoever waits for it keeps the process alive; an idle thread does not.
      this.#worker.ref();
      this.#silence.refresh();
    }
    this.#worker.postMessage(signature);
    return answer.promise;
  }

  #answered(point: Recovered): void {
    this.#asked.shift()?.resolve(point);
    this.#silence.refresh();
    if (this.#asked.length === 0) this.#worker.unref();
  }

  /** Nothing it was asked is answered yes. */
  #end(): void {
    if (thread === this) thread = null;
    clearTimeout(this.#silence);
    for (const answer of this.#asked.splice(0)) answer.reject(new VerificationBusy());
    void this.#worker.terminate();
  }
}

/** For metrics. */
export function recoveriesUnderWay(): number {
  return thread?.asked ?? 0;
}

let thread: RecoveryThread | null = null;

/**
 * The uncompressed point whose key made the signature (SEC 1, section 4.1.6), or null where there is none.
 * @throws {VerificationBusy} at once when too many are asked for; the promise rejects with it when the thread is lost
 */
export function recoverOnThread(signature: RecoverableSignature): Promise<Uint8Array | null> {
  if (thread !== null && thread.asked >= RECOVERIES_MAX) throw new VerificationBusy();
  thread ??= new RecoveryThread();
  return thread.recover(signature);
}
