import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLimits } from '../../src/store/limits.ts';
import { createSharedNonces } from '../../src/store/nonces.ts';
import type { RedisStore } from '../../src/store/redis/connection.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { connect, type KeptLog, keptLog, smallTable, still, until, useOf } from './support.ts';

/** Made after the start of any Redis here. */
const SOON = { createdSeconds: Math.floor(Date.now() / 1_000) + 60 };
const rule = { ratePerPeriod: 2, periodMs: 3_600_000, burst: 20 };

describe.skipIf(!redisAvailable())('a Redis that goes away', () => {
  let redis: TestRedis;
  let a: RedisStore;
  let b: RedisStore;
  let log: KeptLog;

  beforeEach(async () => {
    redis = await startRedis();
    log = keptLog();
    a = connect(redis.url, log);
    b = connect(redis.url);
    await Promise.all([a.ready, b.ready]);
    await until(() => a.liveNodes() === 2);
  });
  afterEach(async () => {
    await Promise.all([a.close(), b.close()]);
    await redis.stop();
  });

  test('killed in mid-flight: every call is answered, each node spends its half, and all is shared again later', async () => {
    const limits = createLimits(smallTable(), a);
    const nonces = createSharedNonces(smallTable(), a, still);
    const calls = Array.from({ length: 200 }, (_, at) => [
      Promise.resolve(limits.take(`flight ${at}`, rule, Date.now())),
      Promise.resolve(nonces.reserve(useOf(`n${at}`, SOON), Date.now())),
    ]).flat();
    await redis.kill();
    for (const answer of await Promise.all(calls)) {
      if (typeof answer === 'string') expect(['reserved', 'unavailable']).toContain(answer);
      else expect(answer.allowed).toBe(true);
    }
    await until(() => !a.usable());
    expect(a.status()).toMatchObject({ connected: false });
    expect(log.lines.filter((line) => line.level === 'error').length).toBe(1);

    let allowed = 0;
    for (let call = 0; call < 30; call += 1) {
      const outcome = limits.take('did', rule, 1e12);
      // At once: nobody waits for a server that is known to be away.
      if (outcome instanceof Promise) throw new Error('should have been decided here');
      expect(outcome).toMatchObject({ degraded: true, limit: 2 });
      if (outcome.allowed) allowed += 1;
    }
    expect(allowed).toBe(10);
    expect(nonces.reserve(useOf('away'), Date.now())).toBe('unavailable');
    expect(nonces.reserve(useOf('away'), Date.now())).toBe('replayed');
    // Where a route goes on without Redis, what this node has no room to remember must not pass.
    const small = createSharedNonces(smallTable({ nonces: 256 }), a, still);
    const outcomes = Array.from({ length: 400 }, (_, at) => small.reserve(useOf(`m${at}`), Date.now()));
    expect(outcomes.filter((outcome) => outcome === 'unavailable')).toHaveLength(256);
    expect(outcomes.filter((outcome) => outcome === 'full')).toHaveLength(400 - 256);

    await redis.restart();
    await until(() => a.usable() && b.usable());
    const outcome = await limits.take('did', rule, Date.now());
    expect(outcome).toMatchObject({ allowed: true, degraded: false, remaining: 19 });
  });

  test('a Redis that hangs costs one time-out, not one for each call', async () => {
    const limits = createLimits(smallTable(), a);
    redis.pause();
    const startedAt = performance.now();
    expect(await limits.take('did', rule, Date.now())).toMatchObject({ allowed: true, degraded: true });
    const waited = performance.now() - startedAt;
    for (let call = 0; call < 5; call += 1)
      expect(limits.take('did', rule, Date.now())).not.toBeInstanceOf(Promise);
    expect(waited).toBeLessThan(1_000);
    redis.resume();
    await until(() => a.usable());
    expect(await limits.take('did', rule, Date.now())).toMatchObject({ degraded: false });
  });

  test('a restarted Redis has forgotten its nonces, and says since when it remembers', async () => {
    const nonces = createSharedNonces(smallTable(), a, still);
    const before = nonces.remembersSinceMs;
    expect(before).toBeGreaterThan(0);
    expect(createSharedNonces(smallTable(), b, still).remembersSinceMs).toBe(before);
    const restartedAt = Date.now();
    await redis.restart();
    await until(() => !a.usable() || nonces.remembersSinceMs !== before);
    await until(() => a.usable());
    expect(nonces.remembersSinceMs).toBeGreaterThanOrEqual(restartedAt + 5_000);
  });

  test('a node that joins later learns since when Redis remembers, not when it joined', async () => {
    const since = a.remembersSinceMs();
    await until(() => Date.now() > since + 5);
    const late = connect(redis.url);
    await late.ready;
    expect(late.remembersSinceMs()).toBe(since);
    await late.close();
  });
});

describe.skipIf(!redisAvailable())('no Redis at the start', () => {
  test('is told once, in words that name the place and not the password, and is used when it comes', async () => {
    const redis = await startRedis();
    await redis.kill();
    const log = keptLog();
    const store = connect(redis.url.replace('redis://', 'redis://user:secret@'), log);
    expect(await store.ready).toMatchObject({ connected: false });
    expect(store.status().lastError).toContain('ECONNREFUSED');
    expect(log.lines.filter((line) => line.level === 'error')).toMatchObject([
      { fields: { redis: `127.0.0.1:${redis.port}` } },
    ]);
    await store.close();
    const late = connect(redis.url, log);
    await late.ready;
    await redis.restart();
    await until(() => late.usable());
    await late.close();
    await redis.stop();
    expect(JSON.stringify(log.lines)).not.toContain('secret');
  });

  test.each(['not a url', 'http://127.0.0.1:6379', 'redis://'])(
    'a faulty address is refused at once: %s',
    (url) => {
      expect(() => connect(url)).toThrow(/REDIS_URL/);
    },
  );
});
