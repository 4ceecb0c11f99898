import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLUSTER_SECRET, openGateway, policyOf, ROOMY, type TestGateway } from '../support/gateway.ts';
import { redisAvailable, startRedis } from '../support/redis.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, type Caller, newCaller, signed } from './support/callers.ts';
import { type Answer, send, TRANSPORTS, type Transport } from './support/clients.ts';

const BURST = 5;
const RULES = 'rules: [{ id: all, effect: allow, match: { path: /agents/** } }]';
let agent: TestAgent;

beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const open = (limits: string, env: Record<string, string> = {}): Promise<TestGateway> =>
  openGateway({
    env,
    agents: [
      `{ id: echo, upstreams: ["${agent.url}"] }`,
      `{ id: open, upstreams: ["${agent.url}"], authentication: none }`,
    ],
    policy: policyOf(`${limits}\n${RULES}`),
  });

describe('per caller', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    // So slow a rate that nothing comes back while the test runs.
    const perDid = `, { id: per-did, key: did, rate: 2/h, burst: ${BURST} }]`;
    gateway = await open(ROOMY.replace(/\]$/, perDid));
  });
  afterAll(() => gateway.close());

  const get = (caller: Caller): Call =>
    signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' });

  test.each(TRANSPORTS)('over %s: his burst, then 429 with the fields that say when', async (transport) => {
    const caller = newCaller();
    for (let call = 1; call <= BURST; call += 1) {
      const answer = await send(gateway, get(caller), transport);
      expect(answer.status).toBe(200);
      expect(answer.headers.ratelimit).toMatch(new RegExp(`^"per-did";r=${BURST - call};t=\\d+$`));
      expect(answer.headers['ratelimit-policy']).toBe('"per-did";q=2;w=3600');
    }
    const before = agent.begun();
    const refused = await send(gateway, get(caller), transport);
    expect(refused).toMatchObject({ status: 429, code: 'caller_rate_limited' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(1_000);
    expect(refused.headers.ratelimit).toMatch(/^"per-did";r=0;t=\d+$/);
    expect(agent.begun()).toBe(before);
  });

  test('nobody can spend the budget of another by naming him', async () => {
    const victim = newCaller();
    const forger = { signer: { keyId: victim.signer.keyId, key: newCaller().signer.key } };
    for (let call = 0; call < 2 * BURST; call += 1) {
      const forged = signed(forger, gateway.origin, { method: 'GET', target: '/agents/echo/' });
      expect((await send(gateway, forged)).code).toBe('signature_invalid');
    }
    expect((await send(gateway, get(victim))).headers.ratelimit).toContain(`r=${BURST - 1};`);
  });

  test('a replay is not counted', async () => {
    const caller = newCaller();
    const call = get(caller);
    expect((await send(gateway, call)).headers.ratelimit).toContain(`r=${BURST - 1};`);
    for (let again = 0; again < BURST; again += 1) {
      expect((await send(gateway, call)).code).toBe('nonce_replayed');
    }
    expect((await send(gateway, get(caller))).headers.ratelimit).toContain(`r=${BURST - 2};`);
  });
});

describe('per address', () => {
  test.each(TRANSPORTS)(
    'over %s: before anything is asked about who is calling',
    async (transport: Transport) => {
      await using gateway = await open(
        `limits: [{ id: per-ip, key: ip, when: pre_auth, rate: 2/h, burst: ${BURST} }]`,
      );
      const unsigned: Call = { method: 'GET', target: '/agents/echo/' };
      for (let call = 0; call < BURST; call += 1) {
        expect((await send(gateway, unsigned, transport)).code).toBe('signature_required');
      }
      const genuine = signed(newCaller(), gateway.origin, unsigned);
      const answers: Answer[] = [
        await send(gateway, unsigned, transport),
        await send(gateway, genuine, transport),
        await send(gateway, { method: 'GET', target: '/agents/open/' }, transport),
        await send(gateway, { method: 'GET', target: '/agents/nobody/' }, transport),
      ];
      for (const answer of answers) {
        expect(answer).toMatchObject({ status: 429, code: 'address_rate_limited' });
        expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      }
    },
  );
});

describe.skipIf(!redisAvailable())('two gateways that share Redis', () => {
  test('one budget for both', async () => {
    const redis = await startRedis();
    const perDid = `, { id: per-did, key: did, rate: 2/h, burst: ${BURST} }]`;
    const env = { REDIS_URL: redis.url, CLUSTER_SECRET };
    const gateways = await Promise.all([1, 2].map(() => open(ROOMY.replace(/\]$/, perDid), env)));
    try {
      const caller = newCaller();
      const statuses: number[] = [];
      for (let call = 0; call < 2 * BURST; call += 1) {
        const gateway = gateways[call % 2] as TestGateway;
        const get = signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' });
        statuses.push((await send(gateway, get)).status);
      }
      expect(statuses).toEqual([...Array(BURST).fill(200), ...Array(BURST).fill(429)]);
    } finally {
      await Promise.all(gateways.map((gateway) => gateway.close()));
      await redis.stop();
    }
  });
});
