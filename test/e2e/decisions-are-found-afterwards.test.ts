import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { newCaller, signed } from './support/callers.ts';
import { type Answer, send } from './support/clients.ts';
import { type Json, OPERATOR_KEY, operate } from './support/operator.ts';

const alice = newCaller();
const mallory = newCaller();
const POLICY = policyOf(`rules:
  - { id: no-mallory, effect: deny, priority: 10, match: { did: "${mallory.did}" }, reason: she knows why }
  - { id: everybody, effect: allow, match: { path: /agents/** }, reason: all may }`);
/** Rows stand in the database at most this much later. */
const WRITTEN_WITHIN_MS = 2_000;

let agent: TestAgent;
let gateway: TestGateway;
beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: POLICY,
    env: { OPERATOR_API_KEY: OPERATOR_KEY, TRUSTED_PROXIES: '127.0.0.1' },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const call = (caller = alice, target = '/agents/echo/today?token=secret'): Promise<Answer> =>
  send(gateway, signed(caller, gateway.origin, { method: 'GET', target }));
const idOf = (answer: Answer): string => String(answer.headers['x-request-id']);
const one = (id: string) => operate(gateway, 'GET', `/v1/decisions/${id}`);
const page = (query: string) => operate(gateway, 'GET', `/v1/decisions?${query}`);

/** Of a page, once the row is in the database. */
async function listed(id: string, query: string): Promise<Json> {
  return until(
    async () => (await page(query)).body.items.find((item: Json) => item.request_id === id),
    `${id} is listed for ${query}`,
    WRITTEN_WITHIN_MS,
  );
}

describe('one decision', () => {
  test('a served request tells who, what, by which rule and how long', async () => {
    const before = Date.now();
    const answer = await call();
    expect(answer.status).toBe(200);
    const { status, body, headers } = await one(idOf(answer));
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({
      request_id: idOf(answer),
      transport: 'http/1.1',
      method: 'GET',
      path: '/agents/echo/today',
      address: '127.0.0.1',
      agent: 'echo',
      caller: alice.did,
      key_id: alice.signer.keyId,
      effect: 'allow',
      rule: 'everybody',
      reason: 'all may',
      internal_reason: null,
      status: 200,
      code: null,
      authentication: 'signature',
      algorithm: 'ed25519',
      profile: 'rfc9421',
      instance: new URL(agent.url).origin,
      attempts: 1,
      aborted: false,
    });
    expect(Date.parse(body.at)).toBeGreaterThanOrEqual(before);
    const { total_ms, identify_ms, upstream_ms, verify_us } = body.timings;
    for (const part of [identify_ms, upstream_ms, verify_us / 1_000]) {
      expect(part).toBeGreaterThan(0);
      expect(part).toBeLessThanOrEqual(total_ms);
    }
    expect(JSON.stringify(body)).not.toContain('secret');
  });

  test('a refused request names its code and the reason of the rule', async () => {
    const answer = await call(mallory);
    expect(answer.status).toBe(403);
    expect((await one(idOf(answer))).body).toMatchObject({
      caller: mallory.did,
      effect: 'deny',
      rule: 'no-mallory',
      reason: 'she knows why',
      status: 403,
      code: answer.code,
      instance: null,
      attempts: 0,
    });
    const unsigned = await send(gateway, { method: 'POST', target: '/agents/echo/x' });
    expect((await one(idOf(unsigned))).body).toMatchObject({
      caller: null,
      effect: 'none',
      rule: null,
      status: 401,
      code: unsigned.code,
    });
  });

  test('it is there from the database, too', async () => {
    const id = idOf(await call());
    const row = await listed(id, 'limit=500');
    expect((await one(id)).body).toMatchObject(row);
  });

  test('an id that nobody got is unknown', async () => {
    const { status, body } = await one('01M7YSDPRFRK5PAD26WC4PR07T');
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'resource_unknown' });
  });
});

describe('a page', () => {
  test.each([
    ['caller', () => `caller=${encodeURIComponent(mallory.did)}`],
    ['agent', () => 'agent=echo'],
    ['address', () => 'address=127.0.0.1'],
    ['code', () => 'code=policy_denied'],
    ['effect', () => 'effect=deny'],
    ['rule', () => 'rule=no-mallory'],
    ['status', () => 'status=403'],
    ['class of status', () => 'status=4xx'],
    ['time', () => `from=${new Date(Date.now() - 60_000).toISOString()}`],
  ])('by %s holds what fits and nothing else', async (_name, query) => {
    const refused = idOf(await call(mallory));
    const served = idOf(await call(alice));
    await listed(served, 'limit=500');
    const filter = query();
    expect((await listed(refused, filter)).caller).toBe(mallory.did);
    const { items } = (await page(filter)).body as { items: Json[] };
    const fitsBoth = /^(agent|address|from)=/.test(filter);
    expect(items.some(({ request_id }) => request_id === served)).toBe(fitsBoth);
  });

  test('by address takes any spelling of it', async () => {
    const headers = [['x-forwarded-for', '2001:0db8::00a:7']] as const;
    const id = idOf(await send(gateway, { method: 'GET', target: '/agents/echo/', headers }));
    for (const spelling of ['2001:db8::a:7', '2001:DB8:0:0:0:0:A:7'])
      expect((await listed(id, `address=${spelling}`)).address).toBe('2001:db8::a:7');
    expect((await page('address=2001:db8::a:8')).body.items).toEqual([]);
  });

  test('ends where `to` says', async () => {
    const id = idOf(await call());
    const { at } = await listed(id, 'limit=500');
    const until_ = async (to: string) => (await page(`limit=500&to=${to}`)).body.items as Json[];
    expect((await until_(at)).some(({ request_id }) => request_id === id)).toBe(false);
    const later = new Date(Date.parse(at) + 1).toISOString();
    expect((await until_(later)).some(({ request_id }) => request_id === id)).toBe(true);
  });

  test('is newest first, and its pages neither repeat nor lose while rows are added', async () => {
    const before: string[] = [];
    for (let i = 0; i < 7; i++) before.push(idOf(await call()));
    await listed(before.at(-1) ?? '', 'limit=1');
    const from = (await one(before[0] ?? '')).body.at;
    const seen: Json[] = [];
    let next: string | null = null;
    do {
      const cursor: string = next === null ? '' : `&cursor=${next}`;
      const { body } = await page(`limit=2&from=${from}${cursor}`);
      expect(body.items.length).toBeLessThanOrEqual(2);
      seen.push(...body.items);
      next = body.next;
      const added = idOf(await call());
      await listed(added, 'limit=1');
    } while (next !== null);
    expect(seen.map(({ request_id }) => request_id)).toEqual(before.toReversed());
    const times = seen.map(({ at }) => Date.parse(at));
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  });

  test.each([
    'limit=501',
    'limit=0',
    'limit=many',
    'cursor=%20',
    'cursor=bm90aGluZw',
    'status=6xx',
    'status=40',
    'status=4XX',
    'effect=maybe',
    'address=here',
    'from=yesterday',
    'from=2026-11-26',
    'to=2026-13-26T10:00:00Z',
    'from=2026-11-26T10:00:00Z&to=2026-11-26T10:00:00Z',
    'from=2026-11-26T10:00:01Z&to=2026-11-26T10:00:00Z',
    `caller=${'d'.repeat(600)}`,
    'caller=',
    'order=asc',
  ])('refuses ?%s', async (query) => {
    const { status, body } = await page(query);
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'request_invalid' });
    expect(body.errors.length).toBeGreaterThan(0);
  });
});

test('what was served last is written before the gateway is gone, and is there after a restart', async () => {
  await using first = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: POLICY,
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
  });
  const answer = await send(first, { method: 'GET', target: '/agents/echo/' });
  await first.app.close();
  await using second = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: POLICY,
    folder: first.folder,
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
    atOnce: true,
  });
  const { status, body } = await operate(second, 'GET', `/v1/decisions/${idOf(answer)}`);
  expect({ status, code: body.code }).toEqual({ status: 200, code: answer.code });
});

test('when it is off, the routes say so', async () => {
  await using off = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    env: { OPERATOR_API_KEY: OPERATOR_KEY, DECISION_LOG_PER_SECOND: '0' },
    atOnce: true,
  });
  for (const path of ['/v1/decisions', '/v1/decisions/x']) {
    const { status, body } = await operate(off, 'GET', path);
    expect({ status, code: body.code }).toEqual({ status: 409, code: 'decision_log_off' });
  }
});
