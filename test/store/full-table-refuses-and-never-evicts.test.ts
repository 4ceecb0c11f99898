import { expect, test } from 'vitest';
import { createLimits } from '../../src/store/limits.ts';
import { createMemoryNonces } from '../../src/store/nonces.ts';
import { smallTable, still, useOf } from './support.ts';

const NOW = 1_800_000_000_000;
const EXPIRES = NOW + 65_000;

test('a full table says full, forgets nothing, and takes nonces again once old ones have expired', () => {
  let elapsedMs = 0;
  const nonces = createMemoryNonces(smallTable({ nonces: 256 }, NOW), {
    ...still,
    monotonicNow: () => elapsedMs,
  });
  const accepted: string[] = [];
  let full = 0;
  for (let at = 0; at < 2_000; at += 1) {
    const outcome = nonces.reserve(useOf(`n${at}`, { expiresAtMs: EXPIRES }), NOW);
    if (outcome === 'reserved') accepted.push(`n${at}`);
    else if (outcome === 'full') full += 1;
  }
  expect(accepted.length).toBe(256);
  expect(full).toBe(2_000 - 256);
  for (const nonce of accepted) {
    expect(nonces.reserve(useOf(nonce, { expiresAtMs: EXPIRES }), NOW)).toBe('replayed');
  }
  elapsedMs = EXPIRES + 1_001 - NOW;
  expect(nonces.reserve(useOf('new', { expiresAtMs: EXPIRES + 70_000 }), EXPIRES + 1_001)).toBe('reserved');
});

test('most of a large table is used before the first full', () => {
  const table = smallTable({ nonces: 65_536 });
  const nonces = createMemoryNonces(table, still);
  let at = 0;
  while (nonces.reserve(useOf(`n${at}`, { expiresAtMs: EXPIRES }), NOW) === 'reserved') at += 1;
  expect(at / 65_536).toBeGreaterThan(0.6);
  expect(nonces.fill()).toBeCloseTo(at / 65_536, 1);
});

test('a nonce is remembered up to and including the last moment its signature is acceptable', () => {
  const table = smallTable({}, NOW);
  let nowMs = NOW;
  const nonces = createMemoryNonces(table, { ...still, monotonicNow: () => nowMs - NOW });
  const reserve = (now: number) => {
    nowMs = now;
    return nonces.reserve(useOf('n', { expiresAtMs: EXPIRES }), now);
  };
  expect(reserve(NOW)).toBe('reserved');
  expect(reserve(EXPIRES)).toBe('replayed');
});

test('the same nonce of another key or another DID is another nonce, however the parts are cut', () => {
  const nonces = createMemoryNonces(smallTable(), still);
  const reserve = (did: string, key: string, nonce: string) =>
    nonces.reserve(useOf(nonce, { did, key, expiresAtMs: EXPIRES }), NOW);
  expect(reserve('ab', 'c', 'd')).toBe('reserved');
  expect(reserve('a', 'bc', 'd')).toBe('reserved');
  expect(reserve('a', 'b', 'cd')).toBe('reserved');
  expect(reserve('ab', 'c', 'd')).toBe('replayed');
});

test('a limit without room for its bucket refuses and says why', () => {
  const limits = createLimits(smallTable({ counters: 16 }), null);
  const rule = { ratePerPeriod: 1, periodMs: 60_000, burst: 5 };
  for (let at = 0; at < 16; at += 1) void limits.take(`did:${at}`, rule, NOW);
  expect(limits.take('did:one more', rule, NOW)).toMatchObject({
    allowed: false,
    full: true,
    retryAfterMs: 1_000,
  });
});
