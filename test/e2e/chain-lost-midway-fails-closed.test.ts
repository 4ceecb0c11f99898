import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startChain, type TestChain } from '../trust/chain/fixture.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, type ChainCaller, newCaller, registerCaller, settle, signed } from './support/callers.ts';
import { openWebSocket, send } from './support/clients.ts';

let chain: TestChain;
let agent: TestAgent;
let gateway: TestGateway;
let known: ChainCaller;
let unknown: ChainCaller;

beforeAll(async () => {
  chain = await startChain();
  agent = await startAgent();
  known = await registerCaller(chain);
  unknown = await registerCaller(chain);
  await settle(chain.anvil);
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: policyOf('rules: [{ id: all, effect: allow, match: { path: /agents/** } }]'),
    more: `chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }], finality: safe }]`,
    env: { CHAIN_RPC_URLS: chain.anvil.wsUrl, OPERATOR_API_KEY: 'operator-key-of-at-least-32-characters' },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  await chain[Symbol.asyncDispose]();
});

const get = (caller: Pick<ChainCaller, 'signer'>): Call =>
  signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' });
const post = (caller: Pick<ChainCaller, 'signer'>): Call =>
  signed(caller, gateway.origin, { method: 'POST', target: '/agents/echo/', body: Buffer.from('{}') });

test('known keys for a while, unknown ones not, and nothing unsafe once revocations may be missed', async () => {
  expect(await send(gateway, get(known))).toMatchObject({ status: 200 });
  const socket = await openWebSocket(gateway, get(known));
  await chain.anvil.kill();
  const killedAt = performance.now();
  // Not known now is no "no such key".
  const cold = await send(gateway, get(unknown));
  expect(cold.status).toBe(503);
  expect(['did_unresolvable', 'did_stale']).toContain(cold.code);
  expect(await send(gateway, get(known))).toMatchObject({ status: 200 });
  expect(await send(gateway, post(known))).toMatchObject({ status: 200 });
  const stale = await until(
    async () => {
      const answer = await send(gateway, post(known));
      return answer.status === 200 ? null : answer;
    },
    'unsafe methods are refused',
    9_000,
  );
  expect(stale).toMatchObject({ status: 503, code: 'did_stale' });
  expect(performance.now() - killedAt).toBeGreaterThan(3_000);
  expect(await send(gateway, get(known))).toMatchObject({ status: 200 });
  // Whose key stands in its DID needs no chain.
  expect(await send(gateway, post(newCaller()))).toMatchObject({ status: 200 });
  expect(socket.readyState).toBe(socket.OPEN);
  socket.terminate();
  const headers = [['authorization', 'Bearer operator-key-of-at-least-32-characters']] as const;
  const health = await send(gateway, { method: 'GET', target: '/health/detailed', headers });
  expect(health.status).toBe(200);
  expect(JSON.parse(health.body)).toMatchObject({ status: 'warn' });
  expect(JSON.parse(health.body).checks['chain-31337:head-age'][0].status).toBe('fail');
}, 20_000);
