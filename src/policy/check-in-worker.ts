/** Checks a policy file off the event loop: 240 KB of YAML take a quarter of a second, which requests must not wait for. */
import { Worker } from 'node:worker_threads';
import type { CheckedPolicy } from './check.ts';

/** The largest file that is let in takes about two seconds on a busy machine; one that takes ten is an attack or a fault of ours. */
const CHECK_TIMEOUT_MS = 10_000;
/** Heap of the worker: enough for a file of 1 MiB several times over. */
const CHECK_HEAP_MB = 256;

/** Sources run as they are; the package runs from `dist`, where the same file ends in `.js`, as this one does. */
const SOURCE = new URL('./check-worker.ts', import.meta.url);
const ENTRY = import.meta.url.endsWith('.ts') ? SOURCE : new URL(SOURCE.href.replace(/\.ts$/, '.js'));

/** Rejects when the worker dies or takes longer than `CHECK_TIMEOUT_MS`; the file is then to be refused. */
export async function checkInWorker(text: string, regions: boolean): Promise<CheckedPolicy> {
  const worker = new Worker(ENTRY, {
    workerData: { text, regions },
    resourceLimits: { maxOldGenerationSizeMb: CHECK_HEAP_MB },
    env: {},
    execArgv: [],
  });
  const { promise, resolve, reject } = Promise.withResolvers<CheckedPolicy>();
  const timer = setTimeout(
    () => reject(new Error(`checking the file took longer than ${CHECK_TIMEOUT_MS} ms`)),
    CHECK_TIMEOUT_MS,
  );
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', () => reject(new Error('the checking thread ended without an answer')));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
