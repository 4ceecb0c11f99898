import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startChain, type TestChain } from '../trust/chain/fixture.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import {
  type Call,
  type Caller,
  type ChainCaller,
  newSlot,
  registerCaller,
  settle,
  signed,
} from './support/callers.ts';
import { closeOf, openWebSocket, send } from './support/clients.ts';

/** Enough for the gateway to start and a WebSocket to be opened. */
const LIFETIME_SECONDS = 5;
let chain: TestChain;
let agent: TestAgent;
let gateway: TestGateway;
let rotating: ChainCaller;
let expiring: ChainCaller;
let expiresAtMs: number;

beforeAll(async () => {
  chain = await startChain();
  agent = await startAgent();
  const notAfter = Math.floor(Date.now() / 1_000) + LIFETIME_SECONDS;
  expiresAtMs = 1_000 * notAfter;
  expiring = await registerCaller(chain, notAfter);
  rotating = await registerCaller(chain);
  await settle(chain.anvil);
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    more: `chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }], finality: safe }]`,
    env: { CHAIN_RPC_URLS: chain.anvil.wsUrl },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  await chain[Symbol.asyncDispose]();
});

const get = (caller: Pick<Caller, 'signer'>): Call =>
  signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' });

test('a key that runs out: what it holds open is closed then, and the next call refused', async () => {
  const socket = await openWebSocket(gateway, get(expiring));
  expect(await closeOf(socket)).toEqual({ code: 1008, reason: 'key expired' });
  expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs);
  expect(await send(gateway, get(expiring))).toMatchObject({ status: 401, code: 'key_expired' });
});

test('a key that another takes the place of: the old one ends, the new one begins', async () => {
  const socket = await openWebSocket(gateway, get(rotating));
  const closed = closeOf(socket);
  const { slot, key } = newSlot();
  const next = { signer: { keyId: rotating.signer.keyId, key } };
  expect(await send(gateway, get(next))).toMatchObject({ status: 401, code: 'signature_invalid' });
  await chain.owner.setKey(rotating.agentId, 'key-1', slot);
  expect(await closed).toMatchObject({ code: 1008 });
  expect((await send(gateway, get(rotating))).status).toBe(401);
  await settle(chain.anvil);
  await until(async () => (await send(gateway, get(next))).status === 200, 'the new key counts');
  expect(await send(gateway, get(rotating))).toMatchObject({ status: 401, code: 'signature_invalid' });
});
