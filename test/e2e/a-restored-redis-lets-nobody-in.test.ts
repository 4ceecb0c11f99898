import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectRedis, type RedisStore } from '../../src/store/redis/connection.ts';
import { createSharedKeyCache, type SharedKeyCache } from '../../src/store/redis/key-cache.ts';
import { sharedKey } from '../../src/trust/did/chain-documents.ts';
import type { DidPurgeEvent, DidResolutionEvent } from '../../src/trust/did/events.ts';
import { ensurePostgres } from '../support/ensure-postgres.ts';
import {
  ALLOW_ALL,
  CLUSTER_SECRET,
  makeFolder,
  openGateway,
  type TestGateway,
  until,
} from '../support/gateway.ts';
import { sharedPostgres } from '../support/postgres.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { startChain, startNode, type TestChain } from '../trust/chain/fixture.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type ChainCaller, registerCaller, settle, signed } from './support/callers.ts';
import { type Answer, send } from './support/clients.ts';

const QUIET = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** What someone with access to Redis reads and writes there. */
interface Vault {
  readonly keys: SharedKeyCache;
  readonly redis: RedisStore;
}

async function openVault({ url }: TestRedis): Promise<Vault> {
  const redis = connectRedis({ url, log: QUIET, now: Date.now, nodeId: 'vault', createdAheadMsMax: 5_000 });
  await redis.ready;
  return { redis, keys: createSharedKeyCache(redis) };
}

const read = ({ keys }: Vault, { did }: ChainCaller): Promise<string> =>
  until(() => keys.get(sharedKey(did)), 'the key is in Redis');
const restore = ({ keys }: Vault, { did }: ChainCaller, value: string): Promise<void> =>
  keys.set(sharedKey(did), value, 300_000);

describe.skipIf(!redisAvailable())('a Redis from before a revocation', () => {
  let chain: TestChain;
  let agent: TestAgent;
  let redis: TestRedis;
  let vault: Vault;
  beforeAll(async () => {
    [chain, agent, redis] = await Promise.all([startChain(), startAgent(), startRedis()]);
    vault = await openVault(redis);
  });
  afterAll(async () => {
    await vault.redis.close();
    await Promise.all([chain[Symbol.asyncDispose](), agent[Symbol.asyncDispose](), redis.stop()]);
  });

  interface Opening {
    readonly rpcUrl?: string;
    readonly server?: TestRedis;
    readonly folder?: string;
    readonly databaseUrl?: string;
  }
  const open = ({ rpcUrl, server, folder, databaseUrl }: Opening): Promise<TestGateway> =>
    openGateway({
      agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
      policy: ALLOW_ALL,
      more: `chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }], finality: safe }]`,
      env: {
        CHAIN_RPC_URLS: rpcUrl ?? chain.anvil.wsUrl,
        CHAIN_POLL_INTERVAL_MS: '50',
        REDIS_URL: (server ?? redis).url,
        CLUSTER_SECRET,
        ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
      },
      ...(folder === undefined ? {} : { folder }),
    });
  const call = (gateway: TestGateway, caller: ChainCaller): Promise<Answer> =>
    send(gateway, signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' }));
  const served = (gateway: TestGateway, caller: ChainCaller): Promise<true> =>
    until(async () => (await call(gateway, caller)).status === 200, 'the caller is served');
  const written = (gateway: TestGateway, { did }: ChainCaller, block: number) =>
    until(
      async () => ((await gateway.app.database.tombstones.find(31337, did))?.blockNumber ?? 0) >= block,
      'the change is in the database',
    );

  /** The tier that the next answer about a key comes from. */
  async function tierOf(work: () => Promise<unknown>): Promise<string> {
    const tiers: string[] = [];
    const keep = (event: unknown): void => void tiers.push((event as DidResolutionEvent).tier);
    subscribe('sage:did.resolution', keep);
    await work();
    unsubscribe('sage:did.resolution', keep);
    return tiers.join();
  }

  /** Revokes on chain, and resolves when a node in this process has heard of it. */
  async function revoke(caller: ChainCaller): Promise<number> {
    const heard = Promise.withResolvers<void>();
    const listen = (event: unknown): void => {
      const { did, reason } = event as DidPurgeEvent;
      if (did === caller.did && reason === 'chain') heard.resolve();
    };
    subscribe('sage:did.purge', listen);
    const { blockNumber } = await chain.owner.revokeKey(caller.agentId, 'key-1');
    await heard.promise;
    unsubscribe('sage:did.purge', listen);
    return blockNumber;
  }

  test('brings nobody back, neither while the gateway runs nor after it has started again', async () => {
    const folder = makeFolder();
    try {
      const mallory = await registerCaller(chain);
      await settle(chain.anvil);
      const first = await open({ folder });
      await served(first, mallory);
      const value = await read(vault, mallory);
      const block = await revoke(mallory);
      await written(first, mallory, block);

      await restore(vault, mallory, value);
      // Nobody has asked since the purge, so memory knows nothing, and Redis is asked.
      expect(await tierOf(async () => expect((await call(first, mallory)).code).toBe('key_unknown'))).toBe(
        'chain',
      );
      await first.close();

      await restore(vault, mallory, value);
      await using second = await open({ folder });
      expect(await second.app.database.tombstones.find(31337, mallory.did)).toMatchObject({
        blockNumber: block,
      });
      const refused = async (): Promise<void> => {
        expect((await call(second, mallory)).code).toBe('key_unknown');
      };
      expect(await tierOf(refused)).toBe('chain');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 30_000);

  test.skipIf(ensurePostgres() === null)(
    'is not believed by a node that has not heard of the revocation, when another node has',
    async () => {
      const [mallory, honest] = [await registerCaller(chain), await registerCaller(chain)];
      await settle(chain.anvil);
      const databaseUrl = await (await sharedPostgres()).createDatabase();
      await using hearing = await open({ databaseUrl });
      // Its head stands still, as with a node that was cut off a moment ago, and it cannot be asked about agents.
      const still = new Map<unknown, unknown>();
      await using lagging = await startNode(({ id, method, params }) => {
        if (method === 'eth_call')
          return { jsonrpc: '2.0', id, error: { code: -32_000, message: 'not now' } };
        const block = method === 'eth_getBlockByNumber' ? still.get(params[0]) : undefined;
        return block === undefined ? undefined : { jsonrpc: '2.0', id, result: block };
      }, chain.anvil.httpUrl);
      const restored = await startRedis();
      const elsewhere = await openVault(restored);
      try {
        await using unaware = await open({ databaseUrl, rpcUrl: lagging.url, server: restored });
        for (const tag of ['latest', 'safe'])
          still.set(tag, await chain.anvil.call('eth_getBlockByNumber', tag, false));
        const values = new Map<ChainCaller, string>();
        for (const caller of [mallory, honest]) {
          await served(hearing, caller);
          values.set(caller, await read(vault, caller));
        }
        await written(hearing, mallory, await revoke(mallory));
        // The other Redis comes from a copy that was made before, and no message of the purge came through it.
        for (const [caller, value] of values) await restore(elsewhere, caller, value);
        await served(unaware, honest);
        expect(await call(unaware, mallory)).toMatchObject({ status: 503, code: 'did_unresolvable' });
      } finally {
        await elsewhere.redis.close();
        await restored.stop();
      }
    },
    30_000,
  );
});
