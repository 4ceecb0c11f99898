import { expect, test } from 'vitest';
import { NOW, onEveryDatabase } from './support.ts';

const TTL_MS = 86_400_000;

onEveryDatabase(({ open }) => {
  test('the first begins, the others see it run and then its answer', async () => {
    const { idempotency } = await open();
    const begin = (hash: string, atMs = NOW) => idempotency.begin('key:one', 'k1', hash, atMs, TTL_MS);
    expect(await begin('h')).toEqual({ state: 'begun' });
    expect(await begin('h')).toEqual({ state: 'running' });
    expect(await begin('other')).toEqual({ state: 'other' });
    await idempotency.finish('key:one', 'k1', 201, '{"id":"a"}');
    expect(await begin('h')).toEqual({ state: 'done', status: 201, body: '{"id":"a"}' });
    expect(await begin('other')).toEqual({ state: 'other' });
    // What is done is not undone, nor done differently.
    await idempotency.abandon('key:one', 'k1');
    await idempotency.finish('key:one', 'k1', 500, '');
    expect(await begin('h', NOW + TTL_MS)).toMatchObject({ state: 'done', status: 201 });
    expect(await begin('h', NOW + TTL_MS + 1)).toEqual({ state: 'begun' });
    expect(await idempotency.begin('key:two', 'k1', 'h', NOW, TTL_MS)).toEqual({ state: 'begun' });
  });

  test('one that failed without effect, or whose process is gone, may be used again', async () => {
    const { idempotency } = await open();
    const begin = (atMs: number) => idempotency.begin('key:one', 'k2', 'h', atMs, TTL_MS);
    expect(await begin(NOW)).toEqual({ state: 'begun' });
    await idempotency.abandon('key:one', 'k2');
    expect(await begin(NOW)).toEqual({ state: 'begun' });
    expect(await begin(NOW + 60_000)).toEqual({ state: 'running' });
    expect(await begin(NOW + 60_001)).toEqual({ state: 'begun' });
  });

  test('of many at once, one begins', async () => {
    const nodes = await Promise.all([open(), open()]);
    const states = await Promise.all(
      Array.from({ length: 10 }, (_call, n) =>
        nodes[n % 2]!.idempotency.begin('key:one', 'k3', 'h', NOW, TTL_MS),
      ),
    );
    expect(states.filter(({ state }) => state === 'begun')).toHaveLength(1);
    expect(states.filter(({ state }) => state === 'running')).toHaveLength(9);
  });
});
