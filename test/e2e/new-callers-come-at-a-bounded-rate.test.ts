/** DIDs cost nothing to make: what strangers can have looked up for them from one address is bounded. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { newCaller, signed } from './support/callers.ts';
import { send } from './support/clients.ts';

const CALLERS = 5;
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    env: { NEW_CALLERS_PER_ADDRESS_PER_MINUTE: String(CALLERS) },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

test('past it a new caller is told when to come back, and those who are known go on', async () => {
  const ask = async (by: ReturnType<typeof newCaller>) =>
    send(gateway, signed(by, gateway.origin, { method: 'GET', target: '/agents/echo/' }));
  const known = Array.from({ length: CALLERS }, () => newCaller());
  for (const caller of known) expect((await ask(caller)).status).toBe(200);
  const late = await ask(newCaller());
  expect(late).toMatchObject({ status: 429, code: 'new_callers_limited' });
  expect(Number(late.headers['retry-after'])).toBeGreaterThan(0);
  for (let n = 0; n < 3; n += 1) for (const caller of known) expect((await ask(caller)).status).toBe(200);
  expect((await ask(newCaller())).code).toBe('new_callers_limited');
});
