import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openGateway, policyOf, ROOMY, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, type Caller, newCaller, signed } from './support/callers.ts';
import { answerTo, openHttp1, send, TRANSPORTS } from './support/clients.ts';

const BODY = Buffer.alloc(65_536, 'a');
/** The smallest budget that can be configured, and a quarter more bodies than fit into it. */
const BUDGET_BYTES = 1_048_576;
const ROUNDS = 20;
const slow = newCaller();
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  const echo = `upstreams: ["${agent.url}"]`;
  gateway = await openGateway({
    agents: [
      `{ id: echo, ${echo} }`,
      `{ id: dead, upstreams: ["http://127.0.0.1:1"] }`,
      `{ id: denied, ${echo} }`,
    ],
    policy:
      policyOf(`${ROOMY.replace(/\]$/, `, { id: per-did, key: did, rate: ${2 * ROUNDS}/h, burst: ${2 * ROUNDS} }]`)}
rules:
  - { id: most, effect: allow, match: { path: /agents/** } }
  - { id: not-there, effect: deny, match: { path: /agents/denied/** } }`),
    env: { BODY_BUFFER_TOTAL_BYTES: String(BUDGET_BYTES) },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const post = (caller: Caller, id = 'echo'): Call =>
  signed(caller, gateway.origin, { method: 'POST', target: `/agents/${id}/`, body: BODY });

describe.each(TRANSPORTS)('over %s', (transport) => {
  async function repeat(make: () => Call, ...codes: readonly string[]): Promise<void> {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { code } = await send(gateway, make(), transport);
      expect(codes, `round ${round}`).toContain(code);
    }
  }

  test('served', () => repeat(() => post(newCaller()), ''));
  test('not the body that was signed', () =>
    repeat(() => ({ ...post(newCaller()), body: Buffer.alloc(BODY.length, 'b') }), 'digest_mismatch'));
  test('denied', () => repeat(() => post(newCaller(), 'denied'), 'policy_denied'));
  test('undeliverable', () =>
    repeat(() => post(newCaller(), 'dead'), 'upstream_unreachable', 'circuit_open'));

  test('replayed', async () => {
    const call = post(newCaller());
    expect(await send(gateway, call, transport)).toMatchObject({ status: 200 });
    await repeat(() => call, 'nonce_replayed');
  });

  test('over the limit of its caller', async () => {
    for (let spent = false; !spent; ) spent = (await send(gateway, post(slow), transport)).status === 429;
    await repeat(() => post(slow), 'caller_rate_limited');
  });
});

test('broken off', async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const call = post(newCaller());
    const length = ['content-length', String(BODY.length)] as const;
    const request = openHttp1(gateway, { ...call, headers: [...(call.headers ?? []), length] });
    answerTo(request).catch(() => undefined);
    await new Promise((resolve) => request.write(BODY.subarray(1), resolve));
    request.destroy();
  }
  await until(() => gateway.app.connections.requestsInFlight === 0, 'the gateway has noticed');
  expect(await send(gateway, post(newCaller()))).toMatchObject({ status: 200 });
});
