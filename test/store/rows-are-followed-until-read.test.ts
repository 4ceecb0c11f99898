import { expect, test } from 'vitest';
import type { Topic } from '../../src/store/database.ts';
import { followRows, type RowFollower } from '../../src/store/follow-rows.ts';
import { keptLog, until } from './support.ts';

/** Rows that change, a feed that tells of it, and readings that may fail or be held. */
function feed() {
  const listeners = new Set<(topic: Topic) => void>();
  return {
    rows: 'first',
    failing: false,
    reads: 0,
    gate: Promise.resolve(),
    onChange(listener: (topic: Topic) => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    tell(topic: Topic) {
      for (const listener of listeners) listener(topic);
    },
    listeners,
  };
}

async function follow(
  source: ReturnType<typeof feed>,
): Promise<{ follower: RowFollower; applied: string[] }> {
  const applied: string[] = [];
  const follower = await followRows({
    database: source,
    topic: 'revocations',
    async read() {
      source.reads += 1;
      const { rows, failing } = source;
      await source.gate;
      if (failing) throw new Error('gone');
      return rows;
    },
    apply: (rows) => void applied.push(rows),
    log: keptLog(),
    now: () => 42,
  });
  return { follower, applied };
}

test('read before it resolves, and again at each change of the topic alone', async () => {
  const source = feed();
  const { follower, applied } = await follow(source);
  expect(applied).toEqual(['first']);
  source.tell('agents');
  source.rows = 'second';
  source.tell('revocations');
  await until(() => applied.length === 2);
  expect(applied).toEqual(['first', 'second']);
  await follower.close();
  expect(source.listeners.size).toBe(0);
});

test('refresh resolves after a reading that began after it was called, though one was under way', async () => {
  const source = feed();
  const { follower, applied } = await follow(source);
  const { promise, resolve } = Promise.withResolvers<void>();
  source.gate = promise;
  source.tell('revocations');
  source.rows = 'written while it was read';
  const refreshed = Promise.all([follower.refresh(), follower.refresh()]);
  resolve();
  await refreshed;
  expect(applied).toEqual(['first', 'first', 'written while it was read']);
  await follower.close();
});

test('a failed reading changes nothing, is told of, and is tried again until it succeeds', async () => {
  const source = feed();
  const { follower, applied } = await follow(source);
  source.failing = true;
  source.rows = 'second';
  await expect(follower.refresh()).rejects.toThrow('gone');
  expect(follower.behindSinceMs()).toBe(42);
  expect(applied).toEqual(['first']);
  source.failing = false;
  await until(() => applied.length === 2);
  expect(applied).toEqual(['first', 'second']);
  expect(follower.behindSinceMs()).toBeNull();
  await follower.close();
});

test('what cannot be read at the start is not followed', async () => {
  const source = feed();
  source.failing = true;
  await expect(follow(source)).rejects.toThrow('gone');
  expect(source.listeners.size).toBe(0);
});
