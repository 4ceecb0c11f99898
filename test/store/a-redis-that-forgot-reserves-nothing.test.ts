import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSharedNonces, type NonceStore } from '../../src/store/nonces.ts';
import type { RedisStore } from '../../src/store/redis/connection.ts';
import { RedisMemory } from '../../src/store/redis/memory.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { connect, type KeptLog, keptLog, say, smallTable, still, until, useOf } from './support.ts';

/** As much as the tests' nodes take a signature to be dated ahead, and their clock to differ from that of Redis. */
const AHEAD_MS = 5_000 + 2_500;

describe.skipIf(!redisAvailable())('between two heartbeats', () => {
  let folder: string;
  let redis: TestRedis;
  let log: KeptLog;
  let stores: RedisStore[];
  let a: NonceStore;
  let b: NonceStore;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sage-redis-'));
    redis = await startRedis({ args: ['--dir', folder, '--enable-debug-command', 'yes'] });
    log = keptLog();
    stores = [connect(redis.url, log), connect(redis.url, log)];
    await Promise.all(stores.map(({ ready }) => ready));
    [a, b] = stores.map((store) => createSharedNonces(smallTable(), store, still)) as [
      NonceStore,
      NonceStore,
    ];
  });
  afterEach(async () => {
    await Promise.all(stores.map((store) => store.close()));
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Dated as far ahead as it may be, so that no moment of this test refuses it but for the loss. */
  const ahead = () => useOf('used', { createdSeconds: Math.floor((Date.now() + 5_000) / 1_000) });
  const told = (): number => log.lines.filter(({ message }) => /has forgotten/.test(message)).length;

  async function refusesOnBoth(used: ReturnType<typeof ahead>): Promise<void> {
    // Here the first call after the loss is the replay: nothing has told this node yet.
    expect(await b.reserve(used, Date.now())).toBe('forgotten');
    await until(() => stores.every((store) => store.status().forgotAtMs > 0));
    expect(told()).toBe(2);
    const since = Math.max(a.remembersSinceMs, b.remembersSinceMs);
    expect(since).toBeGreaterThan(used.createdSeconds * 1_000);
    const fresh = () => useOf('other', { createdSeconds: Math.ceil(since / 1_000) });
    expect(await b.reserve({ ...used, nonce: 'late' }, Date.now())).toBe('forgotten');
    expect(await a.reserve(fresh(), Date.now())).toBe('reserved');
    expect(await b.reserve(fresh(), Date.now())).toBe('replayed');
  }

  test.each(['FLUSHALL', 'FLUSHDB', 'FLUSHALL ASYNC'])(
    '%s: the replay is the first to be refused',
    async (flush) => {
      const used = ahead();
      expect(await a.reserve(used, Date.now())).toBe('reserved');
      await say(redis.port, flush);
      await refusesOnBoth(used);
    },
  );

  test('what is accepted further ahead of its date than others is refused for as long', async () => {
    const seconds = Math.floor(Date.now() / 1_000);
    const dated = (inSeconds: number) =>
      useOf(`dated ${inSeconds}`, { createdSeconds: seconds + inSeconds, aheadMs: 300_000 });
    expect(await a.reserve(dated(200), Date.now())).toBe('reserved');
    await say(redis.port, 'FLUSHALL');
    expect(await b.reserve(dated(1), Date.now())).toBe('forgotten');
    await until(() => stores.every((store) => store.status().forgotAtMs > 0));
    expect(await b.reserve(dated(200), Date.now())).toBe('forgotten');
    expect(b.remembersSince(300_000)).toBeGreaterThan((seconds + 300) * 1_000);
    // Nothing else waits for it.
    expect(b.remembersSince(5_000)).toBe(b.remembersSinceMs);
    expect(b.remembersSince(1_000)).toBe(b.remembersSinceMs);
    expect(b.remembersSinceMs).toBeLessThan((seconds + 60) * 1_000);
    expect(await b.reserve(dated(310), Date.now())).toBe('reserved');
  });

  test('a memory that follows none has lost nothing of it', () => {
    expect(a.remembersSince(300_000)).toBe(a.remembersSinceMs);
  });

  test('an older dump that is loaded while it runs', async () => {
    await say(redis.port, 'SAVE');
    const beats = stores.map((store) => store.status().checkedAtMs);
    // A heartbeat after the dump, by which the loss is known. A dump younger than that holds all but two seconds.
    await until(() => stores.every((store, at) => store.status().checkedAtMs !== beats[at]));
    const used = ahead();
    expect(await a.reserve(used, Date.now())).toBe('reserved');
    await say(redis.port, 'DEBUG RELOAD NOSAVE');
    await refusesOnBoth(used);
  });

  test('a restart from a dump in which the nonce does not stand', async () => {
    await say(redis.port, 'SAVE');
    const used = ahead();
    expect(await a.reserve(used, Date.now())).toBe('reserved');
    await redis.restart();
    await until(() => stores.every((store) => store.status().forgotAtMs > 0 && store.usable()));
    expect(await b.reserve(used, Date.now())).toBe('forgotten');
    expect(Math.min(a.remembersSinceMs, b.remembersSinceMs)).toBeGreaterThan(used.createdSeconds * 1_000);
  });

  test('a node that joins after a flush, before the others have noticed, is told by them', async () => {
    const used = ahead();
    expect(await a.reserve(used, Date.now())).toBe('reserved');
    await say(redis.port, 'FLUSHALL');
    const late = connect(redis.url, log);
    stores.push(late);
    await late.ready;
    await until(() => late.remembersSinceMs() > used.createdSeconds * 1_000);
    const nonces = createSharedNonces(smallTable(), late, still);
    expect(await nonces.reserve(used, Date.now())).toBe('forgotten');
  });

  test('a node that joins later still refuses what was dated ahead', async () => {
    const used = ahead();
    expect(await a.reserve(used, Date.now())).toBe('reserved');
    await say(redis.port, 'FLUSHALL');
    await until(() => stores.every((store) => store.status().forgotAtMs > 0));
    const late = connect(redis.url, log);
    stores.push(late);
    await late.ready;
    expect(late.remembersSinceMs()).toBe(a.remembersSinceMs);
    expect(await createSharedNonces(smallTable(), late, still).reserve(used, Date.now())).toBe('forgotten');
  });

  test('a body that is waited for across the loss does not carry a replay over it', async () => {
    const used = useOf('used');
    // Checked now, as identity does when the head has arrived.
    const before = a.remembersSinceMs;
    expect(before).toBeLessThan(Date.now());
    await redis.restart();
    await until(() => stores.every((store) => store.status().forgotAtMs > 0 && store.usable()));
    expect(await a.reserve(used, Date.now())).toBe('forgotten');
  });

  test('a clock that differs from that of Redis reserves nothing, and says so', async () => {
    const away = keptLog();
    let aheadMs = 0;
    const store = connect(redis.url, away, () => Date.now() + aheadMs);
    stores.push(store);
    await store.ready;
    const nonces = createSharedNonces(smallTable(), store, still);
    const later = { createdSeconds: Math.ceil((Date.now() + 60_000) / 1_000) };
    expect(await nonces.reserve(useOf('first', later), Date.now())).toBe('reserved');
    aheadMs = 4_000;
    expect(await nonces.reserve(useOf('second', later), Date.now() + aheadMs)).toBe('unavailable');
    await until(() => store.nonceFault() !== '');
    expect(store.nonceFault()).toMatch(/clock of Redis is 4\.0 s behind/);
    expect(away.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    aheadMs = 0;
    await until(() => store.nonceFault() === '');
    expect(await nonces.reserve(useOf('third', later), Date.now())).toBe('reserved');
  });

  test('the loss is dated far enough ahead for every signature that was accepted', async () => {
    await say(redis.port, 'FLUSHALL');
    const flushedAt = Date.now();
    await until(() => stores.every((store) => store.status().forgotAtMs > 0));
    expect(Math.min(a.remembersSinceMs, b.remembersSinceMs)).toBeGreaterThanOrEqual(flushedAt + AHEAD_MS - 5);
  });
});

test.each(['', 'x', 'run since f 1', 'run -', 'run 1e99 l 1'])('a memory called %j is none', (mark) => {
  const memory = new RedisMemory();
  const now = Date.now();
  const at = { wallMs: now, monotonicMs: 0, latencyMs: 1 };
  expect(() => memory.note([1, mark, 1, now], at)).toThrow(TypeError);
  expect(memory.mark).toBe('');
  expect(memory.note([1, `run ${now} f 1`, 1, now], at)).toBe(false);
});
