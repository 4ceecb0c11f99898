import { expect, test } from 'vitest';
import { identityPorts } from '../../../src/gateway/identity/ports.ts';
import type { Store } from '../../../src/store/open-store.ts';
import type { KeySource } from '../../../src/trust/key-source.ts';

/** Ports over a memory that goes back to `since` (milliseconds) and a mark that an earlier process left (seconds). */
function portsOf(
  since: { ms: number },
  inheritedSeconds: number,
  note: (seconds: number) => void = () => undefined,
  shared = false,
) {
  const errors: string[] = [];
  const store = {
    nonces: {
      // As after a loss: what is accepted further ahead than by 5 s is remembered from later on.
      remembersSince: (aheadMs: number) => since.ms + Math.max(0, aheadMs - 5_000),
      shared,
      reserve: () => 'reserved' as const,
    },
    acceptedMark: { inheritedSeconds, note },
  } as unknown as Store;
  const log = { error: (_fields: object, message: string) => void errors.push(message) };
  const keys = { resolver: {} } as unknown as KeySource;
  const ports = identityPorts(store, keys, Date.now, log);
  return { nonces: ports.nonces, errors };
}

test('what was made before memory began may have been used; to the second', () => {
  const { nonces } = portsOf({ ms: 1_000_500 }, 0);
  expect([999, 1_000, 1_001].map((created) => nonces.mayPredateMemory(created, 5))).toEqual([
    true,
    true,
    false,
  ]);
});

test('so may what an earlier process accepted ahead of its clock', () => {
  const { nonces } = portsOf({ ms: 1_000_000 }, 1_004);
  expect([1_000, 1_004, 1_005].map((created) => nonces.mayPredateMemory(created, 5))).toEqual([
    true,
    true,
    false,
  ]);
});

test('unless the memory in use goes back to when it can have been accepted, as a shared one does', () => {
  const { nonces } = portsOf({ ms: 999_000 }, 1_004);
  expect([1_003, 1_004].map((created) => nonces.mayPredateMemory(created, 5))).toEqual([true, false]);
});

test('the memory in use is asked anew each time: Redis may have forgotten meanwhile', () => {
  const since = { ms: 1_000_000 };
  const { nonces } = portsOf(since, 0);
  expect(nonces.mayPredateMemory(1_003, 5)).toBe(false);
  since.ms = 1_005_000;
  expect(nonces.mayPredateMemory(1_003, 5)).toBe(true);
});

test('and about those that are accepted as far ahead as this one', () => {
  const { nonces } = portsOf({ ms: 1_000_000 }, 0);
  expect([5, 300].map((skew) => nonces.mayPredateMemory(1_200, skew))).toEqual([false, true]);
});

test('a mark that cannot be written is told, once until it can be again', () => {
  let full = true;
  const { nonces, errors } = portsOf({ ms: 0 }, 0, () => {
    if (full) throw new Error('no space left on device');
  });
  expect([nonces.noteCreated(1), nonces.noteCreated(2)]).toEqual([false, false]);
  expect(errors).toHaveLength(1);
  full = false;
  expect(nonces.noteCreated(3)).toBe(true);
  full = true;
  expect(nonces.noteCreated(4)).toBe(false);
  expect(errors).toHaveLength(2);
});

test('where nonces outlive the process only what is dated ahead of its clock is noted', () => {
  const seconds = Math.floor(Date.now() / 1_000);
  const noted = (shared: boolean): number[] => {
    const seen: number[] = [];
    const { nonces } = portsOf({ ms: 0 }, 0, (created) => void seen.push(created - seconds), shared);
    for (const ahead of [-10, 0, 60]) nonces.noteCreated(seconds + ahead);
    return seen;
  };
  expect(noted(false)).toEqual([-10, 0, 60]);
  expect(noted(true)).toEqual([60]);
});
