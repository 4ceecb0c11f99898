import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLUSTER_SECRET, openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startPostgres, type TestPostgres } from '../support/postgres-server.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Caller, newCaller, signed } from './support/callers.ts';
import { closeOf, openEvents, openWebSocket, send } from './support/clients.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';

/** Twice the poll that stands behind the notification, on a busy machine. */
const HEARD_WITHIN_MS = 5_000;

describe.skipIf(!redisAvailable())('two gateways that share PostgreSQL and Redis', () => {
  let redis: TestRedis;
  let postgres: TestPostgres;
  let agent: TestAgent;
  let database: string;
  let a: TestGateway;
  let b: TestGateway;

  const open = (databaseUrl: string | null): Promise<TestGateway> =>
    openGateway({
      agents: [`{ id: echo, upstreams: ["${agent.url}"], allow: ["did:key:*"] }`],
      env: {
        OPERATOR_API_KEY: OPERATOR_KEY,
        REDIS_URL: redis.url,
        CLUSTER_SECRET,
        ...(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl, DATABASE_STATEMENT_TIMEOUT_MS: '500' }),
      },
    });

  beforeAll(async () => {
    [redis, postgres, agent] = await Promise.all([
      startRedis(),
      startPostgres(),
      startAgent({
        answer(request, response) {
          if (request.url === '/events')
            response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n');
          else response.end('ok');
        },
      }),
    ]);
    database = await postgres.createDatabase();
    [a, b] = await Promise.all([open(database), open(database)]);
    await until(
      () => [a, b].every(({ lines }) => lines.some(({ msg }) => msg === 'Redis is connected')),
      'Redis',
    );
  }, 60_000);
  afterAll(async () => {
    await Promise.all([a.close(), b.close()]);
    await Promise.all([redis.stop(), postgres.stop(), agent.stop()]);
  });

  const call = (gateway: TestGateway, target: string, caller: Caller) =>
    signed(caller, gateway.origin, { method: 'GET', target });
  const served = (gateway: TestGateway, target: string, caller = newCaller()) =>
    send(gateway, call(gateway, target, caller));

  /** Milliseconds from the answer at one node until `seen` is true of the other. */
  async function heard(what: string, seen: () => Promise<boolean>): Promise<void> {
    const startedAt = performance.now();
    await until(seen, what, HEARD_WITHIN_MS);
    console.log(`      ${what}: the other node after ${(performance.now() - startedAt).toFixed(1)} ms`);
  }

  test('an agent that is added at one is served by the other', async () => {
    await operate(a, 'POST', '/v1/agents', {
      body: { id: 'more', upstreams: [agent.url], allow: ['did:key:*'] },
    });
    await heard('agent', async () => (await served(b, '/agents/more/')).status === 200);
    await operate(b, 'DELETE', '/v1/agents/more');
    await heard('removal', async () => (await served(a, '/agents/more/')).code === 'agent_unknown');
  });

  test('a key that is made, rotated and revoked at one is so at the other', async () => {
    const make = await operate(a, 'POST', '/v1/api-keys', { body: { name: 'job', role: 'viewer' } });
    const { id, key } = make.body;
    const statusAtB = async (text: string) => (await operate(b, 'GET', '/v1/whoami', { key: text })).status;
    await heard('key', async () => (await statusAtB(key)) === 200);
    const rotated = await operate(a, 'POST', `/v1/api-keys/${id}/rotate`, { body: { grace_seconds: 0 } });
    await heard('rotation', async () => (await statusAtB(rotated.body.key)) === 200);
    expect(await statusAtB(key)).not.toBe(200);
    await operate(a, 'DELETE', `/v1/api-keys/${id}`);
    await heard('revoked key', async () => (await statusAtB(rotated.body.key)) !== 200);
  });

  test('a policy that is put at one decides at the other', async () => {
    const text = policyOf('rules: [{ id: nobody, effect: deny, match: { path: /agents/** } }]');
    await operate(a, 'PUT', '/v1/policy', { body: { text } });
    await heard('policy', async () => (await served(b, '/agents/echo/')).code === 'policy_denied');
    await operate(b, 'DELETE', '/v1/policy');
    await heard('return', async () => (await served(a, '/agents/echo/')).status === 200);
  });

  test('who is denied at one is refused by the other, and loses what is open there', async () => {
    const mallory = newCaller();
    const socket = await openWebSocket(b, call(b, '/agents/echo/', mallory));
    const closed = closeOf(socket);
    const events = await openEvents(b, call(b, '/agents/echo/events', mallory));
    await until(() => events.events.length === 1, 'the stream flows');
    const startedAt = performance.now();
    const revoked = await operate(a, 'POST', '/v1/revocations', { body: { did: mallory.did } });
    expect(revoked.body).toMatchObject({ closed: 0 });
    const answeredMs = performance.now() - startedAt;
    expect((await closed).code).toBe(1008);
    await events.ended;
    console.log(
      `      revocation: answered in ${answeredMs.toFixed(1)} ms, closed at the other node after ${(performance.now() - startedAt).toFixed(1)} ms`,
    );
    for (const gateway of [a, b])
      expect(await served(gateway, '/agents/echo/', mallory)).toMatchObject({ code: 'did_denied' });
    await operate(b, 'DELETE', `/v1/revocations/${revoked.body.id}`);
    await heard('lifting', async () => (await served(a, '/agents/echo/', mallory)).status === 200);
  });

  test('one key that is denied at one is refused by the other, and loses what is open there; restarted, it remembers', async () => {
    const mallory = newCaller();
    const [socket, others] = await Promise.all(
      [mallory, newCaller()].map((caller) => openWebSocket(b, call(b, '/agents/echo/', caller))),
    );
    if (socket === undefined || others === undefined) throw new Error('both are open');
    const closed = closeOf(socket);
    const revoked = await operate(a, 'POST', '/v1/revocations', { body: { key_id: mallory.signer.keyId } });
    expect(revoked.status).toBe(201);
    expect((await closed).code).toBe(1008);
    expect(others.readyState).toBe(others.OPEN);
    others.terminate();
    expect(await served(b, '/agents/echo/', mallory)).toMatchObject({ code: 'key_denied' });
    await b.close();
    b = await open(database);
    expect(await served(b, '/agents/echo/', mallory)).toMatchObject({ code: 'key_denied' });
    await operate(a, 'DELETE', `/v1/revocations/${revoked.body.id}`);
    await heard('lifting', async () => (await served(b, '/agents/echo/', mallory)).status === 200);
  });

  test('an address that is blocked at one is blocked at the other', async () => {
    await operate(a, 'POST', '/v1/blocks', { body: { address: '198.51.100.9', for_seconds: 60 } });
    const listed = async (gateway: TestGateway): Promise<string[]> =>
      (await operate(gateway, 'GET', '/v1/blocks')).body.items.map(
        ({ address }: { address: string }) => address,
      );
    await heard('block', async () => (await listed(b)).includes('198.51.100.9'));
    await operate(b, 'DELETE', '/v1/blocks/198.51.100.9');
    await heard('unblock', async () => !(await listed(a)).includes('198.51.100.9'));
  });

  test('PostgreSQL goes away: callers notice nothing, changes are refused whole, and all is caught up', async () => {
    const mallory = newCaller();
    await operate(a, 'POST', '/v1/revocations', { body: { did: mallory.did } });
    await heard('revocation', async () => (await served(b, '/agents/echo/', mallory)).code === 'did_denied');
    await postgres.kill();
    for (const gateway of [a, b]) {
      expect(await served(gateway, '/agents/echo/')).toMatchObject({ status: 200 });
      expect(await served(gateway, '/agents/echo/', mallory)).toMatchObject({ code: 'did_denied' });
    }
    const startedAt = performance.now();
    const refused = await operate(a, 'POST', '/v1/agents', {
      body: { id: 'lost', upstreams: [agent.url], allow: ['*'] },
    });
    expect(refused).toMatchObject({ status: 503, body: { code: 'store_unavailable', retryable: true } });
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    console.log(`      a change was refused after ${(performance.now() - startedAt).toFixed(0)} ms`);
    const denied = await operate(b, 'POST', '/v1/revocations', { body: { did: newCaller().did } });
    expect(denied.status).toBe(503);
    expect(await served(a, '/agents/lost/')).toMatchObject({ code: 'agent_unknown' });
    // What is in memory goes on being shown.
    expect(await operate(a, 'GET', '/v1/agents')).toMatchObject({ status: 200 });
    const known = (await operate(b, 'GET', '/v1/revocations')).body.items;
    expect(known.map(({ did }: { did: string }) => did)).toEqual([mallory.did]);
    const told = async (): Promise<boolean> => {
      const headers = { authorization: `Bearer ${OPERATOR_KEY}` };
      const health = await (await fetch(`${b.origin}/health/detailed`, { headers })).text();
      return health.includes('changes made by operators on other nodes may be missing since');
    };
    await until(told, 'health says that changes may be missing');
    await postgres.start();
    const backAt = performance.now();
    await until(
      async () =>
        (
          await operate(a, 'POST', '/v1/agents', {
            body: { id: 'found', upstreams: [agent.url], allow: ['*'] },
          })
        ).status === 201,
      'writes are taken again',
      15_000,
    );
    console.log(
      `      writes were taken again ${(performance.now() - backAt).toFixed(0)} ms after it was back`,
    );
    await heard('agent', async () => (await served(b, '/agents/found/')).status === 200);
    const { items } = (await operate(b, 'GET', '/v1/agents')).body;
    expect(items.map(({ id }: { id: string }) => id)).not.toContain('lost');
  }, 60_000);

  test('without a shared database a change that one node alone would know of is refused', async () => {
    const alone = await open(null);
    try {
      const answer = await operate(alone, 'POST', '/v1/agents', {
        body: { id: 'x', upstreams: [agent.url] },
      });
      expect(answer).toMatchObject({ status: 409, body: { code: 'shared_store_required' } });
      expect(
        await operate(alone, 'POST', '/v1/revocations', { body: { did: newCaller().did } }),
      ).toMatchObject({
        status: 409,
      });
    } finally {
      await alone.close();
    }
  });
});
