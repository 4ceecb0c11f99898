import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { createMemoryNonces, type NonceOutcome } from '../../src/store/nonces.ts';
import { keptLog, smallTable, useOf } from './support.ts';

const START = 1_800_000_000_000;
/** What identity allows by default: 60 s of age and 5 s of skew. */
const LIFE_MS = 65_000;

/** A process whose two clocks the test moves. */
function newProcess() {
  const log = keptLog();
  const table = smallTable({}, START);
  const at = { wall: START, monotonic: 0 };
  const nonces = createMemoryNonces(table, { monotonicNow: () => at.monotonic, log });
  return {
    at,
    table,
    log,
    nonces,
    pass(milliseconds: number) {
      at.wall += milliseconds;
      at.monotonic += milliseconds;
    },
    step(milliseconds: number) {
      at.wall += milliseconds;
    },
    /** A signature made now by a caller whose clock is ours. */
    sign(nonce: string, more: { expiresInMs?: number } = {}) {
      const expiresAtMs = at.wall + (more.expiresInMs ?? LIFE_MS);
      return useOf(nonce, { createdSeconds: Math.floor(at.wall / 1_000), expiresAtMs });
    },
    send: (use: ReturnType<typeof useOf>) => nonces.reserve(use, at.wall) as NonceOutcome,
  };
}

describe('a clock that steps back', () => {
  test.each([6_000, 30_000, 64_000, 3_600_000])(
    'by %d ms makes no signature acceptable again whose nonce was freed',
    (back) => {
      const process = newProcess();
      const used = process.sign('used');
      expect(process.send(used)).toBe('reserved');
      process.pass(LIFE_MS + 5_000);
      // Others overwrite what is free.
      for (let at = 0; at < 5_000; at += 1) process.send(process.sign(`other ${at}`));
      process.step(-back);
      expect(process.at.wall).toBeLessThanOrEqual(used.expiresAtMs);
      expect(process.send(used)).toBe('forgotten');
    },
  );

  test.each([600, 5_000, 60_000, 3_600_000])(
    'by %d ms frees no nonce of before while it can be accepted',
    (back) => {
      const process = newProcess();
      const used = process.sign('used');
      expect(process.send(used)).toBe('reserved');
      process.pass(1_000);
      process.step(-back);
      // For as long as this clock says that the signature may be accepted, minute by minute.
      while (process.at.wall <= used.expiresAtMs) {
        expect(['replayed', 'forgotten']).toContain(process.send(used));
        process.pass(997);
      }
    },
  );

  test('refuses no fresh signature as long as the step is shorter than a signature lives', () => {
    const process = newProcess();
    for (const back of [2_000, 10_000, 30_000]) {
      process.send(process.sign(`before ${back}`));
      process.pass(100_000);
      process.send(process.sign(`at ${back}`));
      process.step(-back);
      for (let at = 0; at < 200; at += 1) {
        expect(process.send(process.sign(`after ${back} ${at}`))).toBe('reserved');
        process.pass(1_000);
      }
    }
  });

  test('refuses one that says itself that it lives for less, until the clock has caught up', () => {
    const process = newProcess();
    process.send(process.sign('long'));
    process.pass(10_000);
    process.send(process.sign('last'));
    process.step(-8_000);
    expect(process.send(process.sign('short', { expiresInMs: 2_000 }))).toBe('forgotten');
    process.pass(80_000);
    expect(process.send(process.sign('short again', { expiresInMs: 2_000 }))).toBe('reserved');
  });

  test('refuses all after a long step back, until it has caught up with what was accepted, and says so once', () => {
    const process = newProcess();
    process.pass(10_000_000);
    const last = process.sign('last');
    expect(process.send(last)).toBe('reserved');
    process.step(-3_600_000);
    expect(process.send(process.sign('at once'))).toBe('forgotten');
    process.pass(3_000_000);
    expect(process.send(process.sign('later'))).toBe('forgotten');
    process.pass(605_000);
    expect(process.send(process.sign('caught up'))).toBe('reserved');
    const warnings = process.log.lines.filter(({ level }) => level === 'warn');
    expect(warnings).toMatchObject([
      { message: expect.stringMatching(/stepped back/), fields: { steppedBackMs: 3_600_000 } },
    ]);
  });

  test('after it ran ahead for an hour in which nothing was accepted refuses little', () => {
    const process = newProcess();
    process.send(process.sign('before'));
    process.step(3_600_000);
    // Callers whose clocks are right are refused as too old, so nothing is reserved; one look is enough to see the step.
    process.pass(600_000);
    process.step(-3_600_000);
    expect(process.send(process.sign('after'))).toBe('reserved');
  });

  test('twice is no way round', () => {
    const process = newProcess();
    process.pass(1_000_000);
    const first = process.sign('first');
    expect(process.send(first)).toBe('reserved');
    process.pass(10_000);
    process.step(-20_000);
    const second = process.sign('second');
    expect(process.send(second)).toBe('reserved');
    process.pass(40_000);
    process.step(-50_000);
    while (process.at.wall <= Math.max(first.expiresAtMs, second.expiresAtMs)) {
      for (const use of [first, second]) {
        if (process.at.wall <= use.expiresAtMs)
          expect(['replayed', 'forgotten']).toContain(process.send(use));
      }
      process.pass(497);
    }
  });

  test('noticed by one thread is known to all', async () => {
    const process = newProcess();
    const used = process.sign('used');
    expect(process.send(used)).toBe('reserved');
    process.pass(LIFE_MS + 5_000);
    expect(process.send(process.sign('other'))).toBe('reserved');
    // A thread that has never looked at a clock before.
    const wall = process.at.wall - 30_000;
    const worker = new Worker(new URL('./stepping-thread.ts', import.meta.url), {
      workerData: { table: process.table.buffer, use: used, wall, monotonic: process.at.monotonic },
    });
    const [outcome] = (await once(worker, 'message')) as [string];
    await worker.terminate();
    expect(outcome).toBe('forgotten');
  });
});

describe('a clock that jumps ahead', () => {
  test.each([10_000, 70_000, 3_600_000])('by %d ms, and back, frees nothing early', (ahead) => {
    const process = newProcess();
    const used = process.sign('used');
    expect(process.send(used)).toBe('reserved');
    process.step(ahead);
    expect(process.send(used)).toBe('replayed');
    process.step(-ahead);
    expect(process.nonces.fill()).toBeGreaterThan(0);
    expect(['replayed', 'forgotten']).toContain(process.send(used));
  });

  test('does not make nonces live longer than their signatures do', () => {
    const process = newProcess();
    process.step(8 * 3_600_000);
    expect(process.send(process.sign('after a long sleep'))).toBe('reserved');
    expect(process.nonces.fill()).toBeGreaterThan(0);
    process.pass(LIFE_MS + 1_001);
    expect(process.nonces.fill()).toBe(0);
  });
});

test('clocks that only drift refuse nothing', () => {
  const process = newProcess();
  for (let at = 0; at < 20_000; at += 1) {
    process.pass(100);
    // A thread is now and then stopped for a moment between the readings of two clocks.
    const late = at % 7 === 0 ? 300 : 0;
    process.at.monotonic += late;
    expect(process.send(process.sign(`n${at}`))).toBe('reserved');
    process.at.monotonic -= late;
  }
  expect(process.log.lines).toEqual([]);
});
