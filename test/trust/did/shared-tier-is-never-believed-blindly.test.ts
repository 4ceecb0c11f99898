import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectRedis, type RedisStore } from '../../../src/store/redis/connection.ts';
import { createSharedKeyCache, type SharedKeyCache } from '../../../src/store/redis/key-cache.ts';
import { sharedKey } from '../../../src/trust/did/chain-documents.ts';
import { redisAvailable, startRedis, type TestRedis } from '../../support/redis.ts';
import {
  CHAIN_ID,
  codeOf,
  didOf,
  isKeyOf,
  newIdentity,
  newWorld,
  REGISTRY,
  Registry,
  slot,
  type World,
} from './world.ts';

const QUIET = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

interface Node {
  readonly world: World;
  readonly redis: RedisStore;
  readonly shared: SharedKeyCache;
}

describe.skipIf(!redisAvailable())('with Redis between the nodes', () => {
  let server: TestRedis;
  let registry: Registry;
  let nodes: Node[];

  async function newNode(): Promise<Node> {
    const redis = connectRedis({
      url: server.url,
      log: QUIET,
      now: Date.now,
      nodeId: crypto.randomUUID(),
      createdAheadMsMax: 5_000,
    });
    const shared = createSharedKeyCache(redis);
    const world = newWorld({ shared, registry });
    await redis.ready;
    await until(() => redis.status().listening);
    const node = { world, redis, shared };
    nodes.push(node);
    return node;
  }

  /** A value as the first node wrote it, and where. */
  async function written(node: Node, agentId: number): Promise<string> {
    let value: string | null = null;
    await until(async () => {
      value = await node.shared.get(sharedKey(didOf(agentId)));
      return value !== null;
    });
    return value ?? '';
  }

  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    for (const { world, redis } of nodes ?? []) {
      world.resolver.close();
      await redis.close();
    }
    nodes = [];
    await server.restart();
    registry = new Registry();
    return async () => {
      for (const { redis } of nodes) await redis.close();
    };
  });

  it('what one node read from the chain another need not read', async () => {
    const [one, two] = [await newNode(), await newNode()];
    const alice = newIdentity();
    registry.agents.set('1', [slot('k1', alice, { notAfter: 4_000_000_000 })]);
    const first = await one.world.find(1);
    await written(one, 1);
    const second = await two.world.find(1);
    expect([first.tier, second.tier]).toEqual(['chain', 'redis']);
    expect(registry.reads).toBe(1);
    expect(isKeyOf(second, alice)).toBe(true);
    expect(second.validUntilMs).toBe(first.validUntilMs);
    expect(second.freshUntilMs).toBe(first.freshUntilMs);
  });

  it('a value that was forged, moved to another DID or cut is ignored, counted, and read from the chain', async () => {
    const [one, two] = [await newNode(), await newNode()];
    registry.agents.set('1', [slot('k1', newIdentity())]);
    await one.world.find(1);
    const value = await written(one, 1);
    const forgeries = [
      value,
      `${value} `,
      value.slice(0, -1),
      value.replace(':', ';'),
      `A${value.slice(1)}`,
      'x',
      `${'0'.repeat(43)}[]`,
    ];
    for (const [at, forged] of forgeries.entries()) {
      const agent = 10 + at;
      registry.agents.set(`${agent}`, [slot('k1', newIdentity())]);
      await two.shared.set(sharedKey(didOf(agent)), forged, 60_000);
      expect(await two.world.find(agent)).toMatchObject({ tier: 'chain' });
      expect(two.world.resolver.stats().forged).toBe(at + 1);
    }
    expect(two.world.warnings.length).toBeLessThan(forgeries.length);
  });

  it('a value older than the last purge, than the watch, or than its time is not used', async () => {
    const [one, two] = [await newNode(), await newNode()];
    const keys = [slot('k1', newIdentity())];
    registry.agents.set('1', keys);
    await one.world.find(1);
    const old = await written(one, 1);
    const purged = new Promise((resolve) => two.world.resolver.onRevoked(resolve));
    one.world.change(1, []);
    await purged;
    expect(await two.shared.get(sharedKey(didOf(1)))).toBe(null);
    // Whoever can write into Redis puts the value with the revoked key back.
    await one.shared.set(sharedKey(didOf(1)), old, 60_000);
    expect(await codeOf(() => one.world.find(1))).toBe('key_unknown');
    const later = await newNode();
    await later.shared.set(sharedKey(didOf(1)), old, 60_000);
    later.world.resolver.watchedFrom(CHAIN_ID, registry.blockNumber);
    expect(await codeOf(() => later.world.find(1))).toBe('key_unknown');
    const three = await newNode();
    await three.shared.set(sharedKey(didOf(1)), old, 60_000);
    three.world.nowMs += 300_000;
    three.world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
    expect(await codeOf(() => three.world.find(1))).toBe('key_unknown');
    expect([one, later, three].map(({ world }) => world.resolver.stats().outdated)).toEqual([1, 1, 1]);
  });

  it('a value from before a reset of the chain is not used', async () => {
    const [one, two] = [await newNode(), await newNode()];
    registry.agents.set('1', [slot('k1', newIdentity())]);
    await one.world.find(1);
    await written(one, 1);
    registry.agents.set('1', []);
    registry.blockNumber += 5;
    const at = { chainId: CHAIN_ID, registry: REGISTRY, blockNumber: registry.blockNumber };
    two.world.resolver.chainChanged({ ...at, kind: 'reset' });
    expect(await codeOf(() => two.world.find(1))).toBe('key_unknown');
  });

  it('a revocation that one node saw purges the other', async () => {
    const [one, two] = [await newNode(), await newNode()];
    registry.agents.set('1', [slot('k1', newIdentity())]);
    two.world.resolver.admit(await two.world.find(1));
    const purged = new Promise((resolve) => two.world.resolver.onRevoked((did) => resolve(did)));
    const startedAt = performance.now();
    one.world.change(1, []);
    expect(await purged).toBe(didOf(1));
    console.log(`purge on a second node after ${(performance.now() - startedAt).toFixed(2)} ms`);
    expect(await codeOf(() => two.world.find(1))).toBe('key_unknown');
  });

  it('a purge nobody of us sent is ignored and counted; our own comes back without harm', async () => {
    const node = await newNode();
    registry.agents.set('1', [slot('k1', newIdentity())]);
    node.world.change(1, [slot('k1', newIdentity())]);
    node.world.resolver.admit(await node.world.find(1));
    await node.shared.publishPurge(`${'0'.repeat(43)}["${didOf(1)}","key","",false,1,""]`);
    await until(() => node.world.resolver.stats().forged === 1);
    expect(await node.world.find(1)).toMatchObject({ tier: 'memory' });
  });

  it('losing Redis flushes what memory holds of the chain, and the chain goes on answering', async () => {
    const node = await newNode();
    registry.agents.set('1', [slot('k1', newIdentity())]);
    node.world.resolver.admit(await node.world.find(1));
    const found = await node.world.find(1);
    const flushed = new Promise((resolve) => node.world.resolver.onRevoked(resolve));
    await server.kill();
    expect(await flushed).toBe(null);
    expect(node.world.resolver.admit(found)).toBe(false);
    expect(await node.world.find(1)).toMatchObject({ tier: 'chain' });
  });
});

/** For conditions that no event tells of. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('the condition never came true');
}
