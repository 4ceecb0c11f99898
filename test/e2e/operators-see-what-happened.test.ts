import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { type Answer, send, TRANSPORTS } from './support/clients.ts';

const KEY = 'operator-key-of-at-least-32-characters';
const GUARDED = ['/metrics', '/health/detailed', '/v1/agents', '/v1/circuits'];
const alice = newCaller();
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    env: { OPERATOR_API_KEY: KEY },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const ask = (target: string, key: string | null = KEY): Call => ({
  method: 'GET',
  target,
  headers: key === null ? [] : [['authorization', `Bearer ${key}`]],
});
const get = (): Call =>
  signed(alice, gateway.origin, { method: 'GET', target: '/agents/echo/today?token=secret' });

async function metrics(): Promise<Map<string, number>> {
  const { body, status } = await send(gateway, ask('/metrics'));
  expect(status).toBe(200);
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test.each(GUARDED)('%s is for who has the key', async (path) => {
    expect(await send(gateway, ask(path), transport)).toMatchObject({ status: 200 });
    const without = await send(gateway, ask(path, null), transport);
    expect(without).toMatchObject({ status: 401, code: 'operator_unauthenticated' });
    expect(without.headers['www-authenticate']).toMatch(/^Bearer /);
    const wrong = await send(gateway, ask(path, 'x'.repeat(40)), transport);
    expect(wrong).toMatchObject({ status: 401, code: 'operator_unauthenticated' });
  });

  test('metrics move with a request, and name no caller and no path', async () => {
    const before = await metrics();
    expect((await send(gateway, get(), transport)).status).toBe(200);
    expect((await send(gateway, { ...get(), target: '/agents/echo/x' }, transport)).status).toBe(401);
    const after = await metrics();
    const moved = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    expect(moved(`sage_requests_total{agent="echo",transport="${transport}",outcome="delivered"}`)).toBe(1);
    expect(moved(`sage_requests_total{agent="echo",transport="${transport}",outcome="refused"}`)).toBe(1);
    expect(moved('sage_refusals_total{code="signature_invalid"}')).toBe(1);
    expect(moved('signature_verification_seconds_count{algorithm="ed25519"}')).toBe(1);
    expect(moved('sage_policy_decisions_total{effect="allow"}')).toBe(1);
    expect(moved('sage_request_duration_seconds_count{agent="echo"}')).toBe(2);
    expect(JSON.stringify([...after])).not.toMatch(/did:|today|secret/);
  });

  test('one id: in the answer, at the agent, in the log, in the refusal', async () => {
    const served = await send(gateway, get(), transport);
    expect(agent.seen.at(-1)?.headers['x-request-id']).toBe(served.headers['x-request-id']);
    const refused = await send(gateway, { ...get(), target: '/agents/echo/x' }, transport);
    expect(JSON.parse(refused.body).request_id).toBe(refused.headers['x-request-id']);
    for (const [answer, status] of [
      [served, 200],
      [refused, 401],
    ] as const) {
      const line = await lineOf(answer);
      expect(line.request).toMatchObject({ agent: 'echo', transport, status });
    }
    expect(served.headers['x-request-id']).not.toBe(refused.headers['x-request-id']);
  });

  test('the log of a signed request says who and what, and holds nothing that could be used', async () => {
    const call = signed(alice, gateway.origin, {
      method: 'POST',
      target: '/agents/echo/today?token=query-secret',
      body: Buffer.from('body-secret'),
      headers: [
        ['authorization', 'Bearer header-secret'],
        ['cookie', 'session=cookie-secret'],
        ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
      ],
    });
    const line = await lineOf(await send(gateway, call, transport));
    expect(line).toMatchObject({
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      request: {
        method: 'POST',
        path: '/agents/echo/today',
        caller: alice.did,
        rule: 'everybody',
        effect: 'allow',
      },
    });
    const all = JSON.stringify(gateway.lines);
    expect(all).not.toMatch(/secret/);
    for (const name of ['signature', 'signature-input', 'content-digest']) {
      const value = (call.headers ?? []).find(([field]) => field === name)?.[1] ?? '';
      expect(value.length).toBeGreaterThan(20);
      expect(all).not.toContain(value);
    }
    expect(agent.seen.at(-1)?.headers.traceparent).toMatch(
      /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/,
    );
  });
});

/** The one line about a request, which is written when its last byte has left. */
async function lineOf({ headers }: Answer): Promise<Readonly<Record<string, unknown>>> {
  const id = headers['x-request-id'];
  expect(id).toMatch(/^\S{16,}$/);
  const line = await until(
    () => gateway.lines.find(({ request_id }) => request_id === id),
    'the line is written',
  );
  expect(gateway.lines.filter(({ request_id }) => request_id === id)).toHaveLength(1);
  return line;
}

test('health says what it is asked by whom', async () => {
  const live = await send(gateway, ask('/health/live', null));
  expect(live).toMatchObject({ status: 200, body: '{"status":"pass"}' });
  expect(await send(gateway, ask('/health/ready', null))).toMatchObject({
    status: 200,
    body: '{"status":"pass"}',
  });
  const detailed = await send(gateway, ask('/health/detailed'));
  expect(detailed.headers['content-type']).toBe('application/health+json');
  expect(Object.keys(JSON.parse(detailed.body).checks)).toEqual(
    expect.arrayContaining(['uptime', 'policy:revision']),
  );
  expect(detailed.body).not.toContain(KEY);
});

test('without a key nobody is let in', async () => {
  await using closed = await openGateway({ agents: [`{ id: echo, upstreams: ["${agent.url}"] }`] });
  for (const path of GUARDED) {
    const answer = await send(closed, ask(path));
    expect(answer).toMatchObject({ status: 403, code: 'operator_access_not_configured' });
  }
});

test('readiness fails as soon as a drain begins, liveness does not', async () => {
  const probe = (target: string): Promise<Answer> => send(gateway, ask(target, null));
  expect(await probe('/health/ready')).toMatchObject({ status: 200 });
  gateway.app.drain.begin();
  expect(await probe('/health/ready')).toMatchObject({ status: 503, body: '{"status":"fail"}' });
  expect(await probe('/health/live')).toMatchObject({ status: 200 });
});
