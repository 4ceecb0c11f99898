/** A worker thread of two-threads-accept-a-signature-once.test.ts: identifies every request it is handed. */
import { parentPort, workerData } from 'node:worker_threads';
import { type IdentityPorts, identify, toRefusal } from '../../../src/gateway/identity/identify.ts';
import { Refused } from '../../../src/gateway/refusal.ts';
import { openTable } from '../../../src/store/memory/table.ts';
import { createMemoryNonces } from '../../../src/store/nonces.ts';
import { DEFAULT_PROFILES } from '../../../src/trust/profiles/profiles.ts';
import { requestView } from '../../../src/trust/wire/message.ts';
import { keptLog } from '../../store/support.ts';
import { openBench } from './support.ts';

const { table, gate, threads, requests } = workerData as {
  table: SharedArrayBuffer;
  gate: SharedArrayBuffer;
  threads: number;
  requests: string[][];
};
const nonces = createMemoryNonces(openTable(table), {
  monotonicNow: () => Number(process.hrtime.bigint()) / 1e6,
  log: keptLog(),
});
const bench = openBench();
const ports: IdentityPorts = {
  ...bench.ports,
  now: Date.now,
  nonces: {
    mayPredateMemory: () => false,
    noteCreated: () => true,
    reserve: (use, nowMs) => nonces.reserve(use, nowMs),
  },
};
const arrived = new Int32Array(gate);
/** Requests between two meetings of the threads, few, so that none is through before the others have begun. */
const ROUND = 20;

function meet(round: number): void {
  Atomics.add(arrived, 0, 1);
  Atomics.notify(arrived, 0);
  const all = threads * (round + 1);
  for (let count = Atomics.load(arrived, 0); count < all; count = Atomics.load(arrived, 0))
    Atomics.wait(arrived, 0, count);
}

async function codeOf(rawHeaders: string[]): Promise<string> {
  const view = requestView({
    method: 'GET',
    scheme: 'https',
    authority: 'gateway.example',
    target: '/agents/echo/',
    rawHeaders,
  });
  const claimant = {
    view,
    source: null,
    declaredBytes: null,
    streamed: false,
    profiles: DEFAULT_PROFILES,
    nonceDownPolicy: 'refuse',
  } as const;
  try {
    await identify(
      { ...claimant, onChecked: () => undefined, onIdentified: () => undefined },
      bench.settings,
      ports,
    );
    return 'accepted';
  } catch (error) {
    const refusal = toRefusal(error);
    if (!(refusal instanceof Refused)) throw error;
    return refusal.kind.code;
  }
}

const codes: string[] = [];
for (const [at, rawHeaders] of requests.entries()) {
  if (at % ROUND === 0) meet(at / ROUND);
  codes.push(await codeOf(rawHeaders));
}
parentPort?.postMessage(codes);
