import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { signed } from '../../e2e/support/callers.ts';
import { smallTable } from '../../store/support.ts';
import { alice } from './support.ts';

const THREADS = 2;
const REQUESTS = 400;

test('of two threads that share the table, exactly one accepts each signature', async () => {
  const table = smallTable({}, Date.now());
  const gate = new SharedArrayBuffer(4);
  const requests = Array.from({ length: REQUESTS }, () => {
    const { headers = [] } = signed(alice, 'https://gateway.example', {
      method: 'GET',
      target: '/agents/echo/',
    });
    return ['Host', 'gateway.example', ...headers.flat()];
  });
  const workers = Array.from(
    { length: THREADS },
    () =>
      new Worker(new URL('./identifying-thread.ts', import.meta.url), {
        workerData: { table: table.buffer, gate, threads: THREADS, requests },
      }),
  );
  const codes = await Promise.all(
    workers.map(async (worker) => {
      const [answer] = (await once(worker, 'message')) as [string[]];
      return answer;
    }),
  );
  await Promise.all(workers.map((worker) => worker.terminate()));
  for (let at = 0; at < REQUESTS; at += 1)
    expect(codes.map((one) => one[at] ?? '').sort()).toEqual(['accepted', 'nonce_replayed']);
  // Otherwise the threads never met and nothing was proven.
  for (const one of codes) expect(one).toContain('accepted');
});
