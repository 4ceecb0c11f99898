import { expect, test } from 'vitest';
import { ALLOW_ALL, CLUSTER_SECRET, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { redisAvailable, startRedis } from '../support/redis.ts';
import { startChain, startNode } from '../trust/chain/fixture.ts';
import { startAgent } from './support/agent.ts';
import { type Call, type ChainCaller, registerCaller, settle, signed } from './support/callers.ts';
import { send } from './support/clients.ts';

const get = (gateway: TestGateway, caller: ChainCaller): Call =>
  signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' });

test.skipIf(!redisAvailable())(
  'what one gateway has read from the chain, the other need not, and a stranger to the cluster is not believed',
  async () => {
    await using chain = await startChain();
    await using agent = await startAgent();
    const known = await registerCaller(chain);
    const unknown = await registerCaller(chain);
    await settle(chain.anvil);
    // Follows heads and logs, and answers no question about an agent.
    await using blind = await startNode(
      ({ id, method }) =>
        method === 'eth_call'
          ? { jsonrpc: '2.0', id, error: { code: -32_000, message: 'not now' } }
          : undefined,
      chain.anvil.httpUrl,
    );
    const redis = await startRedis();
    const open = (rpcUrl: string, secret = CLUSTER_SECRET): Promise<TestGateway> =>
      openGateway({
        agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
        policy: ALLOW_ALL,
        more: `chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }], finality: safe }]`,
        env: {
          CHAIN_RPC_URLS: rpcUrl,
          CHAIN_POLL_INTERVAL_MS: '50',
          REDIS_URL: redis.url,
          CLUSTER_SECRET: secret,
        },
      });
    try {
      await using seeing = await open(chain.anvil.wsUrl);
      await using shared = await open(blind.url);
      await using stranger = await open(blind.url, 'another-cluster-with-32-characters-or-more');
      // What is read after a node began to watch is what it may believe.
      await chain.anvil.mine(1);
      await until(async () => (await send(seeing, get(seeing, known))).status === 200, 'the chain is read');
      await until(
        async () => (await send(shared, get(shared, known))).status === 200,
        'the shared key is used',
      );
      expect((await send(shared, get(shared, unknown))).status).toBe(503);
      expect((await send(stranger, get(stranger, known))).status).toBe(503);
      await chain.owner.revokeKey(known.agentId, 'key-1');
      await until(
        async () => (await send(shared, get(shared, known))).status !== 200,
        'the revoked key is refused',
      );
    } finally {
      await redis.stop();
    }
  },
  30_000,
);
