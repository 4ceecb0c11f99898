/** A worker thread of one-thread-wins-each-nonce.test.ts: all start together and go the same way. */
import { parentPort, workerData } from 'node:worker_threads';
import { createLimits } from '../../src/store/limits.ts';
import { openTable } from '../../src/store/memory/table.ts';
import { createMemoryNonces } from '../../src/store/nonces.ts';
import { still, useOf } from './support.ts';

const {
  table: buffer,
  gate,
  threads,
  nonces,
} = workerData as {
  table: SharedArrayBuffer;
  gate: SharedArrayBuffer;
  threads: number;
  nonces: number;
};
const NOW = 1_800_000_000_000;
const table = openTable(buffer);
const store = createMemoryNonces(table, still);
const limits = createLimits(table, null);
const arrived = new Int32Array(gate);

/**
 * Nonces between two meetings of all threads. Few: on a machine with fewer free cores than threads, one thread could
 * otherwise be through before the others have begun.
 */
const ROUND = 100;

/** Returns when every thread has come to this round. Whoever came last goes first, so that it is not always the same. */
function meet(round: number): void {
  Atomics.add(arrived, 0, 1);
  Atomics.notify(arrived, 0);
  const all = threads * (round + 1);
  for (let count = Atomics.load(arrived, 0); count < all; count = Atomics.load(arrived, 0)) {
    Atomics.wait(arrived, 0, count);
  }
}

const reserved: number[] = [];
const outcomes: Record<string, number> = {};
let allowed = 0;
for (let nonce = 0; nonce < nonces; nonce += 1) {
  if (nonce % ROUND === 0) meet(nonce / ROUND);
  const outcome = store.reserve(useOf(`n${nonce}`, { expiresAtMs: NOW + 65_000 }), NOW);
  if (typeof outcome !== 'string') throw new Error('memory answers at once');
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  if (outcome === 'reserved') reserved.push(nonce);
  const limit = limits.take('shared', { ratePerPeriod: 1, periodMs: 60_000, burst: 500 }, NOW);
  if (!(limit instanceof Promise) && limit.allowed) allowed += 1;
}
parentPort?.postMessage({ reserved, outcomes, allowed });
