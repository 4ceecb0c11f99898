import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { send, socketTo } from './support/clients.ts';

const caller = newCaller();
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"], allow: ["did:key:*"] }`],
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const get = (): Call => signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' });
const logged = (id: string) =>
  until(() => gateway.lines.some((line) => line.request_id === id), 'it is logged');

test.each(['http/1.1', 'h2'] as const)('served and refused, over %s', async (transport) => {
  for (const call of [get(), { method: 'GET', target: '/agents/echo/' }]) {
    const id = String((await send(gateway, call, transport)).headers['x-request-id']);
    expect(id).toMatch(/^[0-9A-Z]{26}$/);
    await logged(id);
  }
});

test('and a WebSocket that was opened', async () => {
  const socket = socketTo(gateway, get(), []);
  const [[answer]] = (await Promise.all([once(socket, 'upgrade'), once(socket, 'open')])) as [
    [IncomingMessage],
    unknown,
  ];
  const id = String(answer.headers['x-request-id']);
  expect(id).toMatch(/^[0-9A-Z]{26}$/);
  socket.close();
  await logged(id);
});
