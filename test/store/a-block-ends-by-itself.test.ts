import { describe, expect, test } from 'vitest';
import { addressKey } from '../../src/store/address.ts';
import { createBlocks } from '../../src/store/blocks.ts';
import { keptLog, smallTable } from './support.ts';

const NOW = 1_800_000_000_000;
const rule = { threshold: 5, windowMs: 60_000, blockMs: 600_000 };
const address = addressKey('192.0.2.7');

function aloneAt(nowMs: number, blocks = 64) {
  const log = keptLog();
  return {
    log,
    blocks: createBlocks({ table: smallTable({ blocks }, NOW), redis: null, now: () => nowMs, log }),
  };
}

test('five failures within the window block, and the block ends to the millisecond', () => {
  const { blocks } = aloneAt(NOW);
  for (const after of [0, 12_000, 24_000, 36_000]) {
    expect(blocks.noteFailure(address, rule, NOW + after)).toBe(false);
    expect(blocks.isBlocked(address, NOW + after)).toBe(0);
  }
  expect(blocks.noteFailure(address, rule, NOW + 48_000)).toBe(true);
  expect(blocks.isBlocked(address, NOW + 48_000)).toBe(600_000);
  expect(blocks.isBlocked(address, NOW + 48_000 + 599_999)).toBe(1);
  expect(blocks.isBlocked(address, NOW + 48_000 + 600_000)).toBe(0);
});

test('failures of the past do not count, nor those of others', () => {
  const { blocks } = aloneAt(NOW);
  for (const after of [0, 1, 2, 3]) blocks.noteFailure(address, rule, NOW + after);
  expect(blocks.noteFailure(addressKey('192.0.2.8'), rule, NOW + 4)).toBe(false);
  expect(blocks.noteFailure(address, rule, NOW + 60_000)).toBe(false);
  expect(blocks.isBlocked(address, NOW + 60_000)).toBe(0);
});

test('a neighbour in the same /64 is blocked too, one in the next is not', () => {
  const { blocks } = aloneAt(NOW);
  blocks.block(addressKey('2001:db8:0:1::1'), 1_000, NOW);
  expect(blocks.isBlocked(addressKey('2001:db8:0:1:ffff::2'), NOW)).toBe(1_000);
  expect(blocks.isBlocked(addressKey('2001:db8:0:2::1'), NOW)).toBe(0);
});

test('a longer block stands, and none is longer than a day', () => {
  const { blocks } = aloneAt(NOW);
  blocks.block(address, 10_000, NOW);
  blocks.block(address, 1_000, NOW);
  expect(blocks.isBlocked(address, NOW)).toBe(10_000);
  blocks.block(address, 1e12, NOW);
  expect(blocks.isBlocked(address, NOW)).toBe(86_400_000);
});

test('when there is no room for a block, the ones in force stay and the log says so', () => {
  const { blocks, log } = aloneAt(NOW, 16);
  for (let at = 0; at < 20; at += 1) blocks.block(addressKey(`192.0.2.${at}`), 1_000, NOW);
  expect(blocks.isBlocked(addressKey('192.0.2.0'), NOW)).toBe(1_000);
  expect(log.lines.filter((line) => line.level === 'warn').length).toBe(4);
});

describe('what operators see and do', () => {
  const note = { reason: 'scraping', setBy: 'key:ops' };

  test('blocks are listed with reason and author until they end; the rule that blocked names itself', async () => {
    const { blocks } = aloneAt(NOW);
    await blocks.set(addressKey('2001:db8::9'), 1_000, NOW, note);
    blocks.noteFailure(address, { ...rule, threshold: 1 }, NOW);
    expect(blocks.list(NOW)).toEqual([
      { address, untilMs: NOW + 600_000, reason: 'too many signatures failed', setBy: 'gateway' },
      { address: '2001:db8:0:0::/64', untilMs: NOW + 1_000, ...note },
    ]);
    expect(blocks.list(NOW + 1_000).map((block) => block.address)).toEqual([address]);
  });

  test('one is let in again at once, and only once', async () => {
    const { blocks } = aloneAt(NOW);
    await blocks.set(address, 10_000, NOW, note);
    expect(await blocks.lift(address, NOW)).toBe(true);
    expect(blocks.isBlocked(address, NOW)).toBe(0);
    expect(blocks.list(NOW)).toEqual([]);
    expect(await blocks.lift(address, NOW)).toBe(false);
  });

  test('without room nothing is said to be blocked', async () => {
    const { blocks } = aloneAt(NOW, 16);
    for (let at = 0; at < 16; at += 1) await blocks.set(addressKey(`192.0.2.${at}`), 1_000, NOW, note);
    await expect(blocks.set(address, 1_000, NOW, note)).resolves.toBeUndefined();
    await expect(blocks.set(addressKey('198.51.100.1'), 1_000, NOW, note)).rejects.toMatchObject({
      code: 'STORE_FULL',
    });
    expect(blocks.list(NOW)).toHaveLength(16);
  });

  test('beyond ten thousand an address is blocked without standing in the list', async () => {
    const { blocks } = aloneAt(NOW, 32_768);
    for (let at = 0; at < 10_001; at += 1)
      await blocks.set(addressKey(`10.0.${at >> 8}.${at & 255}`), 1_000, NOW, note);
    expect(blocks.list(NOW)).toHaveLength(10_000);
    expect(blocks.isBlocked(addressKey('10.0.39.16'), NOW)).toBe(1_000);
  });
});
