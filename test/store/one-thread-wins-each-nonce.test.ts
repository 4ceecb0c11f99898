import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { smallTable } from './support.ts';

const THREADS = 4;
const NONCES = 3_000;

interface Report {
  readonly reserved: number[];
  readonly outcomes: Record<string, number>;
  readonly allowed: number;
}

test('of threads reserving the same nonces exactly one wins each, and a shared limit is never overdrawn', async () => {
  const table = smallTable({ nonces: 16_384 }, 1_000);
  const gate = new SharedArrayBuffer(4);
  const workers = Array.from(
    { length: THREADS },
    () =>
      new Worker(new URL('./reserving-thread.ts', import.meta.url), {
        workerData: { table: table.buffer, gate, threads: THREADS, nonces: NONCES },
      }),
  );
  const reports = await Promise.all(
    workers.map(async (worker) => {
      const [report] = (await once(worker, 'message')) as [Report];
      return report;
    }),
  );
  await Promise.all(workers.map((worker) => worker.terminate()));

  const winners = reports.flatMap((report) => report.reserved).sort((a, b) => a - b);
  expect(winners).toEqual(Array.from({ length: NONCES }, (_, nonce) => nonce));
  const replayed = reports.reduce((sum, report) => sum + (report.outcomes.replayed ?? 0), 0);
  expect(replayed).toBe(NONCES * (THREADS - 1));
  expect(reports.reduce((sum, report) => sum + report.allowed, 0)).toBe(500);
  // Otherwise the threads never met and nothing was proven.
  expect(reports.filter((report) => report.reserved.length > 0).length).toBeGreaterThan(1);
});

test('a lock left behind by a terminated thread refuses its stripe, and is freed when the thread is forgotten', () => {
  const table = smallTable({ nonces: 16 });
  const locks = new Int32Array(table.buffer, 128 + 2 * 192, 16);
  const dead = 77;
  locks[0] = dead + 1;
  const keep = (value: number, _now: number, until: number) => value || until;
  expect(table.nonces.update(table.tag('a'), 1, keep, 1_000, 0)).toBe(-1);
  expect(table.forgetThread(dead)).toBe(1);
  expect(table.nonces.update(table.tag('a'), 1, keep, 1_000, 0)).toBe(0);
});
