import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressKey } from '../../src/store/address.ts';
import { createBlocks } from '../../src/store/blocks.ts';
import type { RedisStore } from '../../src/store/redis/connection.ts';
import { createSharedKeyCache } from '../../src/store/redis/key-cache.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { connect, keptLog, say, smallTable, until } from './support.ts';

function blocksOf(store: RedisStore) {
  return createBlocks({ table: smallTable(), redis: store, now: Date.now, log: keptLog() });
}

describe.skipIf(!redisAvailable())('what one node tells the others', () => {
  let redis: TestRedis;
  let a: RedisStore;
  let b: RedisStore;

  beforeAll(async () => {
    redis = await startRedis();
    a = connect(redis.url);
    b = connect(redis.url);
    await Promise.all([a.ready, b.ready]);
    await until(() => a.status().listening && b.status().listening);
  });
  afterAll(async () => {
    await Promise.all([a.close(), b.close()]);
    await redis.stop();
  });

  test('a block holds on every node, on one that joins later, and what is no address is ignored', async () => {
    const [here, there] = [blocksOf(a), blocksOf(b)];
    const address = addressKey('2001:db8::7');
    here.block(address, 60_000, Date.now());
    expect(here.isBlocked(address, Date.now())).toBeGreaterThan(59_000);
    await until(() => there.isBlocked(address, Date.now()) > 59_000);
    await say(redis.port, 'PUBLISH sage:block "99999999 *"');
    await say(redis.port, 'PUBLISH sage:block nonsense');
    const late = connect(redis.url);
    const lateBlocks = blocksOf(late);
    await until(() => lateBlocks.isBlocked(address, Date.now()) > 50_000);
    expect(lateBlocks.isBlocked(address, Date.now())).toBeLessThanOrEqual(60_000);
    await late.close();
  });

  test('an operator blocks and lets in on every node, with reason and author; who was away catches up', async () => {
    const [here, there] = [blocksOf(a), blocksOf(b)];
    const address = addressKey('198.51.100.7');
    const note = { reason: 'a "quoted" reason, with a , and ü', setBy: 'key:ops' };
    await here.set(address, 60_000, Date.now(), note);
    await until(() => there.list(Date.now()).some((block) => block.address === address));
    expect(there.list(Date.now()).find((block) => block.address === address)).toMatchObject(note);
    const late = connect(redis.url);
    const lateBlocks = blocksOf(late);
    await until(() => lateBlocks.isBlocked(address, Date.now()) > 0);
    expect(lateBlocks.list(Date.now()).find((block) => block.address === address)).toMatchObject(note);
    await late.close();
    expect(await there.lift(address, Date.now())).toBe(true);
    await until(() => here.isBlocked(address, Date.now()) === 0);
    expect(here.list(Date.now()).map((block) => block.address)).not.toContain(address);
    // Who was away when it was lifted learns of that when it is back; a block set since then stands.
    const table = smallTable();
    createBlocks({ table, redis: null, now: Date.now, log: keptLog() }).block(
      address,
      30_000,
      Date.now(),
      note,
    );
    const back = createBlocks({ table, redis: b, now: Date.now, log: keptLog() });
    expect(back.isBlocked(address, Date.now())).toBeGreaterThan(0);
    await say(redis.port, 'CLIENT KILL TYPE pubsub');
    await until(() => back.isBlocked(address, Date.now()) === 0);
    await here.set(address, 60_000, Date.now(), note);
    await until(() => there.isBlocked(address, Date.now()) > 0);
  });

  test('blocking on every node or on none: without Redis it fails and blocks nobody', async () => {
    const closed = connect('redis://127.0.0.1:1');
    await closed.ready;
    const blocks = blocksOf(closed);
    const address = addressKey('198.51.100.8');
    await expect(blocks.set(address, 1_000, Date.now(), { reason: '', setBy: '' })).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    });
    expect(blocks.isBlocked(address, Date.now())).toBe(0);
    await expect(blocks.lift(address, Date.now())).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' });
    await closed.close();
  });

  test('a purge reaches both nodes; values come back, expire and can be deleted', async () => {
    const [here, there] = [createSharedKeyCache(a), createSharedKeyCache(b)];
    const heard: string[] = [];
    here.onPurge((text) => heard.push(`a ${text}`));
    there.onPurge((text) => heard.push(`b ${text}`));
    await until(() => a.status().listening && b.status().listening);
    expect(await here.get('did:sage:1')).toBeNull();
    await here.set('did:sage:1', 'value', 60_000);
    expect(await there.get('did:sage:1')).toBe('value');
    await there.delete(['did:sage:1', 'did:sage:2']);
    expect(await here.get('did:sage:1')).toBeNull();
    await here.set('short', 'value', 1);
    const end = Date.now() + 1_000;
    while ((await here.get('short')) !== null) expect(Date.now()).toBeLessThan(end);
    await here.set('huge', 'x'.repeat(70_000), 60_000);
    expect(await here.get('huge')).toBeNull();
    const startedAt = performance.now();
    await here.publishPurge('did:sage:1');
    await until(() => heard.length >= 2);
    console.log(`purge to the other node: ${(performance.now() - startedAt).toFixed(1)} ms`);
    expect(heard.sort()).toEqual(['a did:sage:1', 'b did:sage:1']);
  });

  test('a lost connection for messages is told at once, restored by itself, and purges arrive again', async () => {
    const cache = createSharedKeyCache(b);
    const events: string[] = [];
    cache.onDisconnect(() => events.push('lost'));
    cache.onReconnect(() => events.push('restored'));
    cache.onPurge((text) => events.push(text));
    cache.onDisconnect(() => {
      throw new Error('a listener that fails must not matter');
    });
    expect(events).toEqual(['restored']);
    await say(redis.port, 'CLIENT KILL TYPE pubsub');
    await until(() => events.length === 3);
    expect(events).toEqual(['restored', 'lost', 'restored']);
    await createSharedKeyCache(a).publishPurge('after');
    await until(() => events.includes('after'));
  });

  test('a connection for messages that is dead without being closed is found out', async () => {
    const events: string[] = [];
    b.bus.onLost(() => events.push('lost'));
    redis.pause();
    await until(() => events.includes('lost'), 10_000);
    redis.resume();
    await until(() => b.usable() && b.status().listening, 10_000);
  });

  test('without Redis the cache fails with a coded error that names the place', async () => {
    const closed = connect('redis://127.0.0.1:1');
    await closed.ready;
    await expect(createSharedKeyCache(closed).get('x')).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: expect.stringContaining('127.0.0.1:1'),
    });
    await closed.close();
  });
});
