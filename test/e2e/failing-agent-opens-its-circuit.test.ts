import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { type Answer, send, TRANSPORTS } from './support/clients.ts';

const alice = newCaller();
let agent: TestAgent;
let healthy: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  healthy = await startAgent();
  gateway = await openGateway({
    agents: [
      `{ id: fragile, upstreams: ["${agent.url}"] }`,
      `{ id: pair, upstreams: ["${agent.url}", "${healthy.url}"] }`,
    ],
    policy: ALLOW_ALL,
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  await healthy.stop();
});

const get = (id: string): Call => signed(alice, gateway.origin, { method: 'GET', target: `/agents/${id}/` });

test('502 while it fails, then 503 at once, then healed', async () => {
  expect(await send(gateway, get('fragile'))).toMatchObject({ status: 200 });
  await agent.stop();
  const answers: Answer[] = [];
  while (answers.length < 20 && answers.at(-1)?.status !== 503)
    answers.push(await send(gateway, get('fragile')));
  expect(answers[0]).toMatchObject({ status: 502, code: 'upstream_unreachable' });
  for (const transport of TRANSPORTS) {
    const startedAt = performance.now();
    const refused = await send(gateway, get('fragile'), transport);
    expect(refused).toMatchObject({ status: 503, code: 'circuit_open' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(performance.now() - startedAt).toBeLessThan(500);
  }
  await agent.start();
  // The circuit lets one request try 5 s after it opened.
  const healed = await until(
    async () => {
      const answer = await send(gateway, get('fragile'));
      return answer.status === 503 ? null : answer;
    },
    'the circuit lets a request through',
    8_000,
  );
  expect(healed.status).toBe(200);
});

test('one instance fails, the other serves', async () => {
  await agent.stop();
  for (let call = 0; call < 10; call += 1) expect((await send(gateway, get('pair'))).status).toBe(200);
});
