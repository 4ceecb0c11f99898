import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLimits } from '../../src/store/limits.ts';
import { createSharedNonces } from '../../src/store/nonces.ts';
import type { RedisStore } from '../../src/store/redis/connection.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { connect, smallTable, still, until, useOf } from './support.ts';

/** Made after the start of the Redis here. */
const SOON = { createdSeconds: Math.floor(Date.now() / 1_000) + 60 };

describe.skipIf(!redisAvailable())('two nodes on one Redis', () => {
  let redis: TestRedis;
  let a: RedisStore;
  let b: RedisStore;

  beforeAll(async () => {
    redis = await startRedis();
    a = connect(redis.url);
    b = connect(redis.url);
    await Promise.all([a.ready, b.ready]);
  });
  afterAll(async () => {
    await Promise.all([a.close(), b.close()]);
    await redis.stop();
  });

  test('know of each other', async () => {
    expect(a.status()).toMatchObject({
      connected: true,
      nonceFault: '',
      lastError: '',
      endpoint: `127.0.0.1:${redis.port}`,
    });
    await until(() => a.liveNodes() === 2 && b.liveNodes() === 2);
  });

  test('accept a nonce once between them, whoever is asked first and at whatever moment', async () => {
    const now = Date.now();
    const [here, there] = [
      createSharedNonces(smallTable(), a, still),
      createSharedNonces(smallTable(), b, still),
    ];
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, at) => at).flatMap((at) => [
        Promise.resolve(here.reserve(useOf(`n${at}`, SOON), now)),
        Promise.resolve(there.reserve(useOf(`n${at}`, SOON), now)),
      ]),
    );
    expect(outcomes.filter((outcome) => outcome === 'reserved').length).toBe(200);
    expect(outcomes.filter((outcome) => outcome === 'replayed').length).toBe(200);
  });

  test('refuse a replay on the node that has seen it without asking Redis', async () => {
    const nonces = createSharedNonces(smallTable(), a, still);
    const now = Date.now();
    expect(await nonces.reserve(useOf('n', SOON), now)).toBe('reserved');
    expect(nonces.reserve(useOf('n', SOON), now)).toBe('replayed');
  });

  test('spend one limit together', async () => {
    const [here, there] = [createLimits(smallTable(), a), createLimits(smallTable(), b)];
    const rule = { ratePerPeriod: 1, periodMs: 3_600_000, burst: 30 };
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => [here, there])
        .flat()
        .map((limits) => Promise.resolve(limits.take('did:did:web:a.example', rule, Date.now()))),
    );
    expect(outcomes.filter((outcome) => outcome.allowed).length).toBe(30);
    expect(outcomes.every((outcome) => !outcome.degraded)).toBe(true);
    const refused = outcomes.find((outcome) => !outcome.allowed);
    expect(refused?.retryAfterMs).toBeGreaterThan(3_590_000);
    expect(refused?.retryAfterMs).toBeLessThanOrEqual(3_600_000);
  });

  test('refill at the rate, by the clock of Redis', async () => {
    const limits = createLimits(smallTable(), a);
    const rule = { ratePerPeriod: 2, periodMs: 1_000, burst: 2 };
    const take = async () => (await limits.take('refill', rule, 0)).allowed;
    expect([await take(), await take(), await take()]).toEqual([true, true, false]);
    const startedAt = performance.now();
    while (!(await take())) expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test('count a local rule each for itself', () => {
    const [here, there] = [createLimits(smallTable(), a), createLimits(smallTable(), b)];
    const rule = { ratePerPeriod: 1, periodMs: 3_600_000, burst: 1, scope: 'local' } as const;
    expect(here.take('ip', rule, 1e12)).toMatchObject({ allowed: true, degraded: false });
    expect(there.take('ip', rule, 1e12)).toMatchObject({ allowed: true });
    expect(there.take('ip', rule, 1e12)).toMatchObject({ allowed: false });
  });
});
