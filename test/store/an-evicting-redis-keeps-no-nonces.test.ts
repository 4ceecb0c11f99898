import { describe, expect, test } from 'vitest';
import { createLimits } from '../../src/store/limits.ts';
import { createSharedNonces } from '../../src/store/nonces.ts';
import { redisAvailable, startRedis } from '../support/redis.ts';
import { connect, keptLog, say, smallTable, still, until, useOf } from './support.ts';

/** Made after the start of the Redis here. */
const SOON = { createdSeconds: Math.floor(Date.now() / 1_000) + 60 };

describe.skipIf(!redisAvailable())('maxmemory-policy', () => {
  test('an evicting one is refused for nonces in clear words; limits and keys go on', async () => {
    const redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] });
    const log = keptLog();
    const store = connect(redis.url, log);
    const status = await store.ready;
    expect(status.nonceFault).toMatch(/maxmemory-policy of Redis is "allkeys-lru".*noeviction/);
    expect(log.lines.filter((line) => line.level === 'error').map((line) => line.message)).toEqual([
      status.nonceFault,
    ]);
    const nonces = createSharedNonces(smallTable({}, 42), store, still);
    expect(nonces.reserve(useOf('n'), Date.now())).toBe('unavailable');
    expect(nonces.remembersSinceMs).toBe(42);
    const limits = createLimits(smallTable(), store);
    expect(await limits.take('x', { ratePerPeriod: 1, periodMs: 1_000, burst: 1 }, 0)).toMatchObject({
      degraded: false,
    });
    await store.close();
    await redis.stop();
  });

  test('a full Redis that may not evict refuses the nonce as full, and is not usable from its next heartbeat on', async () => {
    const redis = await startRedis();
    const store = connect(redis.url);
    await store.ready;
    await say(redis.port, 'CONFIG SET maxmemory 100kb');
    const nonces = createSharedNonces(smallTable(), store, still);
    expect(await nonces.reserve(useOf('n', SOON), Date.now())).toBe('full');
    await until(() => !store.usable());
    expect(store.status().lastError).toMatch(/OOM/);
    expect(nonces.reserve(useOf('m'), Date.now())).toBe('unavailable');
    await store.close();
    await redis.stop();
  });
});
