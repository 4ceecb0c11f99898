import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DidReadAheadEvent, DidResolutionEvent } from '../../src/trust/did/events.ts';
import { ALLOW_ALL, makeFolder, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { HANG, startChain, startNode, type TestChain } from '../trust/chain/fixture.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type ChainCaller, registerCaller, settle, signed } from './support/callers.ts';
import { send } from './support/clients.ts';

let chain: TestChain;
let agent: TestAgent;
let folder: string;
let ahead: DidReadAheadEvent[];
let tiers: string[];

const keepAhead = (event: unknown): void => void ahead.push(event as DidReadAheadEvent);
const keepTier = (event: unknown): void => void tiers.push((event as DidResolutionEvent).tier);

beforeEach(async () => {
  [chain, agent] = await Promise.all([startChain(), startAgent()]);
  folder = makeFolder();
  ahead = [];
  tiers = [];
  subscribe('sage:did.read_ahead', keepAhead);
  subscribe('sage:did.resolution', keepTier);
});
afterEach(async () => {
  unsubscribe('sage:did.read_ahead', keepAhead);
  unsubscribe('sage:did.resolution', keepTier);
  rmSync(folder, { recursive: true, force: true });
  await Promise.all([chain[Symbol.asyncDispose](), agent[Symbol.asyncDispose]()]);
});

const open = (rpcUrl: string): Promise<TestGateway> =>
  openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    more: `chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }], finality: safe }]`,
    env: { CHAIN_RPC_URLS: rpcUrl, CHAIN_POLL_INTERVAL_MS: '50' },
    folder,
  });
const call = (gateway: TestGateway, caller: ChainCaller) =>
  send(gateway, signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' }));
const served = (gateway: TestGateway, caller: ChainCaller): Promise<true> =>
  until(async () => (await call(gateway, caller)).status === 200, 'the caller is served');

test('the first request of who called before finds the key at once, and a key revoked meanwhile is gone', async () => {
  const [known, revoked, unknown] = [
    await registerCaller(chain),
    await registerCaller(chain),
    await registerCaller(chain),
  ];
  await settle(chain.anvil);
  const first = await open(chain.anvil.wsUrl);
  await served(first, known);
  await served(first, revoked);
  expect(ahead).toEqual([]);
  await first.close();
  await chain.owner.revokeKey(revoked.agentId, 'key-1');

  await using second = await open(chain.anvil.wsUrl);
  await until(() => ahead.length === 2, 'they are read ahead');
  expect(ahead).toEqual([
    { reason: 'warm_up', outcome: 'kept' },
    { reason: 'warm_up', outcome: 'kept' },
  ]);
  const tierOf = async (caller: ChainCaller, status: number): Promise<string | undefined> => {
    tiers = [];
    expect((await call(second, caller)).status).toBe(status);
    return tiers[0];
  };
  expect(await tierOf(known, 200)).toBe('memory');
  expect(await tierOf(unknown, 200)).toBe('chain');
  expect(await tierOf(revoked, 401)).toBeDefined();
}, 30_000);

test('readiness does not wait for it, nor does the end', async () => {
  const known = await registerCaller(chain);
  await settle(chain.anvil);
  const first = await open(chain.anvil.wsUrl);
  await served(first, known);
  await first.close();

  // Its head and logs can be followed; what is asked of an agent is never answered.
  let asked = 0;
  await using silent = await startNode(({ method }) => {
    if (method !== 'eth_call') return undefined;
    asked += 1;
    return HANG;
  }, chain.anvil.httpUrl);
  const second = await open(silent.url);
  await until(() => asked > 0, 'it is read ahead');
  expect(await send(second, { method: 'GET', target: '/health/ready' })).toMatchObject({ status: 200 });
  expect(ahead).toEqual([]);
  const startedAt = performance.now();
  await second.close();
  expect(performance.now() - startedAt).toBeLessThan(2_500);
}, 30_000);
