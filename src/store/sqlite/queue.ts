/** Calls on their way to the thread: one batch is with it, the others wait for that to come back. */
import type { Worker } from 'node:worker_threads';
import type { Result, Statement } from '../executor.ts';
import { type Fault, faultError } from '../faults.ts';
import type { Answer, Call, ToThread } from './messages.ts';

/** Calls that wait: more than operators and the decision log ever have under way. */
const WAITING_MAX = 1_024;
/** Calls of one transaction, which other processes wait for. */
const BATCH_MAX = 256;

interface Pending {
  readonly call: Call;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (results: readonly Result[]) => void;
  readonly reject: (error: Error) => void;
}

export interface Queue {
  call(write: boolean, statements: readonly Statement[]): Promise<readonly Result[]>;
  /** @param hung called when a batch stays with the thread for too long */
  attach(worker: Worker, hung: () => void): void;
  /** Rejects what was under way, and what comes until another thread is attached; false when it is not attached. */
  detach(worker: Worker, fault: Fault): boolean;
  answered(answers: readonly Answer[], last: boolean): void;
  load(): { readonly waiting: number; readonly inUse: number; readonly size: number; readonly shed: number };
  /** Resolves when all that was asked is answered and the thread has closed its file. */
  close(): Promise<void>;
}

interface State {
  readonly file: string;
  readonly waiting: Pending[];
  readonly running: Map<number, Pending>;
  readonly drained: PromiseWithResolvers<void>;
  attached: { readonly worker: Worker; readonly hung: () => void } | null;
  /** What a call is told while no thread is attached. */
  absent: Fault;
  batching: boolean;
  closing: boolean;
  lastId: number;
  shed: number;
}

function rejectAll(calls: Iterable<Pending>, fault: Fault): void {
  for (const { timer, reject } of calls) {
    clearTimeout(timer);
    reject(faultError(fault));
  }
}

function expired(state: State, id: number): void {
  if (state.running.has(id)) {
    state.attached?.hung();
    return;
  }
  const at = state.waiting.findIndex(({ call }) => call.id === id);
  if (at === -1) return;
  state.shed++;
  const text = `${state.file}: it was not its turn in time`;
  rejectAll(state.waiting.splice(at, 1), { kind: 'busy', text });
}

/** Gives the thread all that waits, once it has answered what it was given before. */
function next(state: State): void {
  if (state.batching || state.attached === null) return;
  if (state.waiting.length === 0) {
    if (state.closing) state.drained.resolve();
    return;
  }
  state.batching = true;
  const batch = state.waiting.splice(0, BATCH_MAX);
  for (const pending of batch) {
    pending.timer.refresh();
    state.running.set(pending.call.id, pending);
  }
  state.attached.worker.postMessage({ calls: batch.map(({ call }) => call) } satisfies ToThread);
}

function settle({ running }: State, answer: Answer): void {
  const pending = running.get(answer.id);
  if (pending === undefined) return;
  running.delete(answer.id);
  clearTimeout(pending.timer);
  if ('fault' in answer) pending.reject(faultError(answer.fault));
  else pending.resolve(answer.results);
}

function detach(state: State, worker: Worker, fault: Fault): boolean {
  if (state.attached?.worker !== worker) return false;
  state.attached = null;
  state.absent = fault;
  state.batching = false;
  rejectAll(state.running.values(), fault);
  state.running.clear();
  rejectAll(state.waiting.splice(0), fault);
  if (state.closing) state.drained.resolve();
  return true;
}

async function close(state: State): Promise<void> {
  if (state.closing) return;
  state.closing = true;
  if (state.attached === null) return;
  next(state);
  await state.drained.promise;
  const worker = state.attached?.worker;
  if (worker === undefined) return;
  state.attached = null;
  // Not `once` of node:events, which rejects for a thread that fails on its way out: it has ended all the same.
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.postMessage({ close: true } satisfies ToThread);
  await exited;
}

/** @param timeoutMs how long a call waits, and how long a batch may take */
export function createQueue(file: string, timeoutMs: number): Queue {
  const state: State = {
    file,
    waiting: [],
    running: new Map(),
    drained: Promise.withResolvers(),
    attached: null,
    absent: { kind: 'unavailable', text: `${file} is not open` },
    batching: false,
    closing: false,
    lastId: 0,
    shed: 0,
  };
  return {
    call(write, statements) {
      const { waiting, absent } = state;
      if (state.attached === null || state.closing) return Promise.reject(faultError(absent));
      if (waiting.length >= WAITING_MAX) {
        state.shed++;
        return Promise.reject(faultError({ kind: 'busy', text: `${WAITING_MAX} calls wait for ${file}` }));
      }
      const { promise, resolve, reject } = Promise.withResolvers<readonly Result[]>();
      state.lastId++;
      const call: Call = { id: state.lastId, write, statements };
      waiting.push({ call, timer: setTimeout(expired, timeoutMs, state, call.id), resolve, reject });
      next(state);
      return promise;
    },
    attach(worker, hung) {
      state.attached = { worker, hung };
    },
    detach: (worker, fault) => detach(state, worker, fault),
    answered(answers, last) {
      for (const answer of answers) settle(state, answer);
      if (!last) return;
      state.batching = false;
      next(state);
    },
    load: () => ({
      waiting: state.waiting.length,
      inUse: Number(state.batching),
      size: 1,
      shed: state.shed,
    }),
    close: () => close(state),
  };
}
