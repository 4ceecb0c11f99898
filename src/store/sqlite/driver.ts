/**
 * SQLite on a thread. Calls that come while the thread works wait here and go to it as one batch, whose writes share
 * a transaction and so a sync of the disk. The thread is started again when it ends or its file was replaced.
 */
import { Worker } from 'node:worker_threads';
import { type Driver, type DriverEvents, type Statement, storable } from '../executor.ts';
import { type Fault, faultError } from '../faults.ts';
import type { FromThread, ThreadSettings } from './messages.ts';
import { createQueue } from './queue.ts';

/** Sources run as they are; the package runs from `dist`, where the same file ends in `.js`, as this one does. */
const SOURCE = new URL('./thread.ts', import.meta.url);
const ENTRY = import.meta.url.endsWith('.ts') ? SOURCE : new URL(SOURCE.href.replace(/\.ts$/, '.js'));

/** Beyond the time that a call may take, until a thread that says nothing counts as hung. */
const GRACE_MS = 250;
/** Between two attempts to open the file again. */
const REOPEN_MS = 500;
/** Heap of the thread: the largest page and the largest batch many times over. */
const HEAP_MB = 128;

export interface SqliteOptions {
  readonly file: string;
  /** A call is answered within this time: half of it may go by behind a lock for the calls before it, half for itself. */
  readonly timeoutMs: number;
  readonly now: () => number;
  readonly events: DriverEvents;
}

const isMessage = (value: unknown): value is FromThread => typeof value === 'object' && value !== null;

/** Resolves with the first thing a new thread says: that the file is open, or why not. */
async function startThread(
  settings: ThreadSettings,
): Promise<{ readonly worker: Worker; readonly migrated: readonly string[] }> {
  const worker = new Worker(ENTRY, {
    workerData: settings,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    env: {},
    execArgv: [],
  });
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const ended = (): void =>
    reject(faultError({ kind: 'unavailable', text: `${settings.file}: the thread that opens it ended` }));
  worker.once('error', reject).once('exit', ended);
  worker.once('message', (message: unknown) => {
    if (!isMessage(message) || 'answers' in message) return;
    if ('failed' in message) reject(faultError(message.failed));
    else resolve(message.migrated);
  });
  try {
    const migrated = await promise;
    worker.removeListener('error', reject).removeListener('exit', ended);
    return { worker, migrated };
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

/**
 * Resolves when the file is open and its schema is the present one.
 * @throws {StoreReadOnly, StoreFull, StoreBusy, StoreUnavailable, StoreSchemaUnknown}
 */
export async function openSqlite(
  options: SqliteOptions,
): Promise<{ readonly driver: Driver; readonly migrated: readonly string[] }> {
  const { file, timeoutMs, events } = options;
  const settings = (first: boolean): ThreadSettings => ({
    file,
    busyMs: Math.floor(timeoutMs / 2),
    first,
    nowMs: options.now(),
  });
  const queue = createQueue(file, timeoutMs + GRACE_MS);
  let reopening: NodeJS.Timeout | null = null;
  let ending: Promise<unknown> = Promise.resolve();
  let reopened: Promise<void> = Promise.resolve();
  let closed = false;

  function attach(worker: Worker): void {
    const lost = (fault: Fault): void => {
      if (!queue.detach(worker, fault)) return;
      events.lost(fault.text);
      // A thread that hangs in a system call ends when that does; only then is another started.
      ending = worker.terminate();
      reopenLater();
    };
    worker.on('message', (message: unknown) => {
      if (!isMessage(message)) return;
      if ('failed' in message) lost(message.failed);
      else if ('answers' in message) queue.answered(message.answers, message.last);
    });
    worker.on('error', (error: Error) => lost({ kind: 'unavailable', text: `${file}: ${error.message}` }));
    worker.on('exit', () => lost({ kind: 'unavailable', text: `${file}: the thread that holds it ended` }));
    queue.attach(worker, () => lost({ kind: 'unavailable', text: `${file} did not answer in time` }));
  }

  function reopenLater(): void {
    if (closed) return;
    reopening = setTimeout(() => {
      reopened = reopen();
    }, REOPEN_MS);
  }

  async function reopen(): Promise<void> {
    try {
      await ending;
      const { worker } = await startThread(settings(false));
      if (closed) await worker.terminate();
      else attach(worker);
      events.missed();
    } catch (error) {
      reopenLater();
      events.lost(error instanceof Error ? error.message : String(error));
    }
  }

  const { worker, migrated } = await startThread(settings(true));
  attach(worker);
  const bound = (statement: Statement): Statement => ({
    ...statement,
    values: statement.values.map(storable),
  });
  const driver: Driver = {
    kind: 'sqlite',
    endpoint: file,
    readOnlyQuery: null,
    announcement: () => null,
    read: async (statement) => (await queue.call(false, [bound(statement)]))[0]?.rows ?? [],
    write: (statements) => queue.call(true, statements.map(bound)),
    load: () => queue.load(),
    async close() {
      closed = true;
      if (reopening !== null) clearTimeout(reopening);
      await queue.close();
      await reopened;
      await ending;
    },
  };
  return { driver, migrated };
}
