import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGateway, policyOf, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { send } from './support/clients.ts';

/** The shorthand's own: five bad signatures in a minute. */
const FAILURES = 5;
const victim = newCaller();
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [
      `{ id: echo, upstreams: ["${agent.url}"] }`,
      `{ id: files, upstreams: ["${agent.url}"], body: stream }`,
    ],
    policy: policyOf(
      'auto_block_on_signature_failure: true\nrules: [{ id: all, effect: allow, match: { path: /agents/** } }]',
    ),
    env: { TRUSTED_PROXIES: '127.0.0.1' },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const from = (call: Call, address: string): Call => ({
  ...call,
  headers: [...(call.headers ?? []), ['x-forwarded-for', address]],
});
const genuine = (): Call => signed(victim, gateway.origin, { method: 'GET', target: '/agents/echo/' });
const forged = (): Call => ({ ...genuine(), target: '/agents/echo/other' });

test('the address that sends them, and neither the caller they name nor anybody else', async () => {
  for (let call = 0; call < FAILURES; call += 1) {
    expect((await send(gateway, from(forged(), '198.51.100.7'))).code).toBe('signature_invalid');
  }
  const blocked = await send(gateway, from(genuine(), '198.51.100.7'));
  expect(blocked).toMatchObject({ status: 429, code: 'address_blocked' });
  expect(Number(blocked.headers['retry-after'])).toBeGreaterThan(500);
  expect(await send(gateway, from(genuine(), '198.51.100.8'))).toMatchObject({ status: 200 });
});

test('requests that prove nothing, and break no signature, block nobody', async () => {
  const unsigned: Call = { method: 'GET', target: '/agents/echo/' };
  const late = (): Call => signed(victim, gateway.origin, unsigned, { createdIn: -120 });
  for (let call = 0; call < 2 * FAILURES; call += 1) {
    await send(gateway, from(call % 2 === 0 ? unsigned : late(), '198.51.100.9'));
  }
  expect(await send(gateway, from(genuine(), '198.51.100.9'))).toMatchObject({ status: 200 });
});

test('a streamed body that is not the one signed counts as well', async () => {
  const address = '198.51.100.10';
  const post = (): Call =>
    signed(victim, gateway.origin, { method: 'POST', target: '/agents/files/', body: Buffer.from('signed') });
  for (let call = 0; call < FAILURES; call += 1) {
    const tampered = { ...post(), body: Buffer.from('forged') };
    expect((await send(gateway, from(tampered, address))).code).toBe('digest_mismatch');
  }
  expect(await send(gateway, from(genuine(), address))).toMatchObject({
    status: 429,
    code: 'address_blocked',
  });
});
