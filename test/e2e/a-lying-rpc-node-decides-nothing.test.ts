/** Three RPC nodes, one of which hides revocations: it is not believed, and operators are told. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startChain, type TestChain } from '../trust/chain/fixture.ts';
import { type NodeProxy, startProxy } from '../trust/chain/proxy-fixture.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type ChainCaller, registerCaller, settle, signed } from './support/callers.ts';
import { send } from './support/clients.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';

let chain: TestChain;
let agent: TestAgent;
let gateway: TestGateway;
let proxies: NodeProxy[];

beforeAll(async () => {
  chain = await startChain();
  agent = await startAgent();
  proxies = await Promise.all([0, 1, 2].map(() => startProxy(chain.anvil.httpUrl)));
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: policyOf('rules: [{ id: all, effect: allow, match: { did: "did:sage:*", path: /agents/** } }]'),
    more: `chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }], finality: safe }]`,
    env: {
      CHAIN_RPC_URLS: proxies.map(({ url }) => url).join(','),
      CHAIN_POLL_INTERVAL_MS: '100',
      OPERATOR_API_KEY: OPERATOR_KEY,
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
  await chain[Symbol.asyncDispose]();
});

const ask = (caller: ChainCaller) =>
  send(gateway, signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' }));

test('the liar is outvoted, alarmed of and shown; the others serve on', async () => {
  const alice = await registerCaller(chain);
  const bob = await registerCaller(chain);
  await settle(chain.anvil);
  expect((await ask(alice)).status).toBe(200);
  // From now on the last node knows of no event of any agent.
  (proxies[2] as NodeProxy).behaviour = {
    tell: (call, result) => (call.method === 'eth_getLogs' ? [] : result),
  };
  expect((await ask(bob)).status).toBe(200);
  await chain.owner.revokeKey(alice.agentId, 'key-1');
  await until(async () => (await ask(alice)).status === 401, 'alice is refused');
  const line = await until(
    () => gateway.lines.find(({ msg }) => msg.startsWith('an RPC node says otherwise')),
    'the disagreement is logged',
  );
  expect(line).toMatchObject({ level: 'warn', chain: 31337, node: proxies[2]?.url });
  const metrics = await (
    await fetch(`${gateway.origin}/metrics`, { headers: { authorization: `Bearer ${OPERATOR_KEY}` } })
  ).text();
  expect(metrics).toMatch(/sage_rpc_disagreements_total\{chain="31337"\} [1-9]/);
  const told = await until(async () => {
    const { body } = await operate(gateway, 'GET', '/health/detailed');
    const [check] = body.checks['chain-31337:head-age'];
    return check.status === 'warn' ? (check.output as string) : null;
  }, 'health tells');
  expect(told).toContain(`${proxies[2]?.url} said otherwise`);
});

test('two of three away: what one says alone is not known, and unsafe methods of strangers fail closed', async () => {
  const carol = await registerCaller(chain);
  await settle(chain.anvil);
  for (const proxy of proxies.slice(1)) proxy.behaviour = { cuts: true };
  expect(await ask(carol)).toMatchObject({ status: 503, code: 'did_unresolvable' });
});
