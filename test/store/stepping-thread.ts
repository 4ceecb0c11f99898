/** A worker thread of clock-jumps-free-no-nonce.test.ts: one use of a signature, by clocks that are handed in. */
import { parentPort, workerData } from 'node:worker_threads';
import { openTable } from '../../src/store/memory/table.ts';
import { createMemoryNonces, type NonceUse } from '../../src/store/nonces.ts';
import { keptLog } from './support.ts';

const { table, use, wall, monotonic } = workerData as {
  table: SharedArrayBuffer;
  use: NonceUse;
  wall: number;
  monotonic: number;
};
const nonces = createMemoryNonces(openTable(table), { monotonicNow: () => monotonic, log: keptLog() });
parentPort?.postMessage(nonces.reserve(use, wall));
