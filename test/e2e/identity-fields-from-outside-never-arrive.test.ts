import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { openWebSocket, send, TRANSPORTS } from './support/clients.ts';

const alice = newCaller();
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  const upstreams = `upstreams: ["${agent.url}"]`;
  gateway = await openGateway({
    agents: [`{ id: echo, ${upstreams} }`, `{ id: open, ${upstreams}, authentication: none }`],
    policy: ALLOW_ALL,
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const FORGED = [
  ['x-sage-verified-did', 'did:key:zMallory'],
  ['x_sage_verified_did', 'did:key:zMallory'],
  ['x-sage-key-id', 'did:key:zMallory#1'],
  ['x-sage-auth-method', 'mallory'],
  ['x-sage-anything', 'mallory'],
  ['x-request-id', 'mallory'],
  ['x-forwarded-for', '203.0.113.66'],
  ['x-real-ip', '203.0.113.66'],
  ['forwarded', 'for=203.0.113.66'],
] as const;

function expectOurs(did: string | undefined): void {
  const last = agent.seen.at(-1);
  expect(JSON.stringify(last?.rawHeaders)).not.toMatch(/mallory|203\.0\.113\.66/i);
  expect(last?.headers['x-sage-verified-did']).toBe(did);
  expect(last?.headers['x-sage-auth-method']).toBe(did === undefined ? 'none' : 'signature');
  expect(last?.headers['x-forwarded-for']).toBe('127.0.0.1');
  expect(last?.headers['x-request-id']).toMatch(/^\S{16,}$/);
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test.each([false, true])('a signed caller: covered by his signature %s', async (covered) => {
    const call: Call = { method: 'GET', target: '/agents/echo/', headers: FORGED };
    const cover = covered ? FORGED.map(([name]) => name) : [];
    const answer = await send(gateway, signed(alice, gateway.origin, call, { cover }), transport);
    expect(answer).toMatchObject({ status: 200 });
    expectOurs(alice.did);
  });

  test('a caller who need not say who he is', async () => {
    const answer = await send(
      gateway,
      { method: 'GET', target: '/agents/open/', headers: FORGED },
      transport,
    );
    expect(answer).toMatchObject({ status: 200 });
    expectOurs(undefined);
  });
});

test('a WebSocket', async () => {
  const call = signed(alice, gateway.origin, { method: 'GET', target: '/agents/echo/', headers: FORGED });
  const socket = await openWebSocket(gateway, call);
  expectOurs(alice.did);
  socket.terminate();
});
