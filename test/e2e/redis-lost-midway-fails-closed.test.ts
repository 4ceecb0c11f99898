import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOW_ALL, CLUSTER_SECRET, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { send } from './support/clients.ts';

const alice = newCaller();
const BODY = Buffer.from('{}');
let agent: TestAgent;

beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

describe.skipIf(!redisAvailable())('Redis', () => {
  let redis: TestRedis;
  let gateway: TestGateway;
  beforeAll(async () => {
    redis = await startRedis();
    gateway = await openGateway({
      agents: [
        `{ id: echo, upstreams: ["${agent.url}"] }`,
        `{ id: strict, upstreams: ["${agent.url}"], on_nonce_store_down: refuse }`,
      ],
      policy: ALLOW_ALL,
      // Signatures may be dated this far ahead of the clock, so those of that time may have been used as well.
      env: { REDIS_URL: redis.url, CLUSTER_SECRET, CLOCK_SKEW_SECONDS: '1' },
    });
  });
  afterAll(async () => {
    await gateway.close();
    await redis.stop();
  });

  const get = (id = 'echo'): Call =>
    signed(alice, gateway.origin, { method: 'GET', target: `/agents/${id}/` });
  const post = (): Call =>
    signed(alice, gateway.origin, { method: 'POST', target: '/agents/echo/', body: BODY });

  test('while it is there everything is served', async () => {
    for (const call of [get(), get('strict'), post()])
      expect(await send(gateway, call)).toMatchObject({ status: 200 });
  });

  test('killed: what changes something is refused, what only reads goes on unless its route says otherwise', async () => {
    const used = get();
    expect(await send(gateway, used)).toMatchObject({ status: 200 });
    await redis.kill();
    const reached = agent.begun();
    const refused = await send(gateway, post());
    expect(refused).toMatchObject({ status: 503, code: 'nonce_store_unavailable' });
    expect(JSON.parse(refused.body).retryable).toBe(true);
    const strict = await send(gateway, get('strict'));
    expect(strict).toMatchObject({ status: 503, code: 'nonce_store_unavailable' });
    expect(agent.begun()).toBe(reached);
    expect(await send(gateway, get())).toMatchObject({ status: 200 });
    // What this node itself has seen it knows without Redis.
    expect(await send(gateway, used)).toMatchObject({ status: 401, code: 'nonce_replayed' });
  });

  test('back, and empty: what may have been used before is refused, what is signed later is served', async () => {
    const before = post();
    await redis.restart();
    await until(
      () => gateway.lines.some(({ msg }) => msg.startsWith('Redis has forgotten')),
      'it is noticed',
    );
    expect(await send(gateway, before)).toMatchObject({ status: 401, code: 'signature_predates_start' });
    const served = await until(
      async () => {
        const answer = await send(gateway, post());
        return answer.status === 200 ? answer : null;
      },
      'unsafe methods are served again',
      5_000,
    );
    expect(served.status).toBe(200);
  });

  test('hanging: nobody waits for it for long', async () => {
    redis.pause();
    const startedAt = performance.now();
    expect(await send(gateway, post())).toMatchObject({ status: 503, code: 'nonce_store_unavailable' });
    expect(await send(gateway, get())).toMatchObject({ status: 200 });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    redis.resume();
    await until(async () => (await send(gateway, post())).status === 200, 'it is used again');
  });
});
