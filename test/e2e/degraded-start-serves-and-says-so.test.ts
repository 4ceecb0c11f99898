import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAnvil } from '../support/anvil.ts';
import { ALLOW_ALL, CLUSTER_SECRET, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { send } from './support/clients.ts';

const KEY = 'operator-key-of-at-least-32-characters';
const REGISTRY = '0x00000000000000000000000000000000000000ab';
/** Nothing listens there. */
const NOWHERE = '127.0.0.1:1';
const alice = newCaller();
let agent: TestAgent;

beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const open = (env: Record<string, string>, more = ''): Promise<TestGateway> =>
  openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    more,
    env: { OPERATOR_API_KEY: KEY, ...env },
  });
const chain = (finality = ''): string =>
  `chains: [{ id: 31337, registries: [{ address: "${REGISTRY}" }]${finality} }]`;

const get = (gateway: TestGateway, caller: Pick<typeof alice, 'signer'> = alice): Call =>
  signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' });
const onChain = { signer: { keyId: `did:sage:eip155:31337:${REGISTRY}:1#key-1`, key: alice.signer.key } };

async function health(
  gateway: TestGateway,
): Promise<{ status: string; checks: Record<string, { status: string; output?: string }[]> }> {
  const headers = [['authorization', `Bearer ${KEY}`]] as const;
  const { body } = await send(gateway, { method: 'GET', target: '/health/detailed', headers });
  return JSON.parse(body) as Awaited<ReturnType<typeof health>>;
}

test('no Redis: safe methods are served, unsafe ones refused, and health says why', async () => {
  await using gateway = await open({ REDIS_URL: `redis://user:hunter2@${NOWHERE}`, CLUSTER_SECRET });
  expect(await send(gateway, { method: 'GET', target: '/health/ready' })).toMatchObject({ status: 200 });
  expect(await send(gateway, get(gateway))).toMatchObject({ status: 200 });
  const post = signed(alice, gateway.origin, {
    method: 'POST',
    target: '/agents/echo/',
    body: Buffer.from('{}'),
  });
  expect(await send(gateway, post)).toMatchObject({ status: 503, code: 'nonce_store_unavailable' });
  expect(
    gateway.lines.filter(({ level, msg }) => level === 'error' && msg.startsWith('Redis is not')),
  ).toHaveLength(1);
  const { status, checks } = await health(gateway);
  expect(status).toBe('warn');
  expect(checks['redis:latency']?.[0]).toMatchObject({
    status: 'fail',
    output: expect.stringContaining('ECONNREFUSED'),
  });
  expect(JSON.stringify([gateway.lines, checks])).not.toContain('hunter2');
});

test('no RPC node: keys in the DID are served, keys on chain cannot be told, and health says why', async () => {
  await using gateway = await open({ CHAIN_RPC_URLS: `http://${NOWHERE}/v3/rpc-secret` }, chain());
  expect(await send(gateway, { method: 'GET', target: '/health/ready' })).toMatchObject({ status: 200 });
  expect(await send(gateway, get(gateway))).toMatchObject({ status: 200 });
  const answer = await send(gateway, get(gateway, onChain));
  expect(answer.status).toBe(503);
  expect(['did_unresolvable', 'did_stale']).toContain(answer.code);
  const check = await until(async () => {
    const { checks } = await health(gateway);
    const found = checks['chain-31337:head-age']?.[0];
    return found?.output?.includes('not connected yet') === false ? found : null;
  }, 'health names the cause');
  expect(check.status).toBe('fail');
  expect(JSON.stringify([gateway.lines, check])).not.toContain('rpc-secret');
});

test('a node of another chain is not believed', async () => {
  const anvil = await startAnvil({ chainId: 5 });
  try {
    await using gateway = await open({ CHAIN_RPC_URLS: anvil.wsUrl }, chain());
    const answer = await send(gateway, get(gateway, onChain));
    expect(answer.status).toBe(503);
    const said = await until(
      () =>
        gateway.lines.find((line) => JSON.stringify(line).includes('another chain than the configured one')),
      'the log names the cause',
    );
    expect(said.level).toMatch(/warn|error/);
  } finally {
    await anvil.stop();
  }
});
