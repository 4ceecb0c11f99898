import { expect, it } from 'vitest';
import type { SharedKeyCache } from '../../../src/store/redis/key-cache.ts';
import { sharedKey } from '../../../src/trust/did/chain-documents.ts';
import { agentDid, parseKeyId } from '../../../src/trust/did/did-url.ts';
import { until } from '../../support/gateway.ts';
import { followKeys, someKey, startChain } from '../chain/fixture.ts';
import { CHAIN_ID, codeOf, didOf, newIdentity, newWorld, settled, slot, type World } from './world.ts';

const hashOf = (blockNumber: number): string => `0x${blockNumber.toString(16).padStart(64, '0')}`;
const other = (blockNumber: number): string => `0x${blockNumber.toString(16).padStart(64, 'f')}`;

/** Follows the chain to block 100, where reads are of 102. */
function ahead(shared: SharedKeyCache | null = null): World {
  const world = newWorld({ shared });
  world.registry.agents.set('1', [slot('k1', newIdentity())]);
  world.resolver.followed(CHAIN_ID, 100, hashOf);
  world.registry.blockNumber = 102;
  return world;
}

/** The least a shared tier can be. */
function sharedIn(stored: Map<string, string>): SharedKeyCache {
  return {
    get: async (key) => stored.get(key) ?? null,
    set: async (key, value) => void stored.set(key, value),
    delete: async (keys) => keys.forEach((key) => void stored.delete(key)),
    publishPurge: async () => undefined,
    onPurge: () => undefined,
    onDisconnect: () => undefined,
    onReconnect: () => undefined,
  };
}

it('what was read at a block that was dropped before it was followed', async () => {
  const stored = new Map<string, string>();
  const world = ahead(sharedIn(stored));
  const found = await world.find(1);
  expect(world.resolver.admit(found)).toBe(true);
  await settled();
  expect(stored.has(sharedKey(didOf(1)))).toBe(true);
  const told: (string | null)[] = [];
  world.resolver.onRevoked((did) => told.push(did));
  world.resolver.followed(CHAIN_ID, 101, hashOf);
  expect(await world.find(1)).toMatchObject({ tier: 'memory' });
  world.registry.agents.set('1', []);
  world.resolver.followed(CHAIN_ID, 103, other);
  expect(world.resolver.stands(found)).toBe(false);
  expect(told).toEqual([didOf(1)]);
  expect(stored.size).toBe(0);
  expect(await codeOf(() => world.find(1))).toBe('key_unknown');
});

it('not what was read at a block that is followed then', async () => {
  const world = ahead();
  expect(world.resolver.admit(await world.find(1))).toBe(true);
  world.resolver.followed(CHAIN_ID, 103, hashOf);
  // A later reorganisation is told of, agent by agent.
  world.resolver.followed(CHAIN_ID, 104, other);
  expect(await world.find(1)).toMatchObject({ tier: 'memory' });
});

it('what was read at a block that the chain, shorter now, may never have', async () => {
  const world = ahead();
  expect(world.resolver.admit(await world.find(1))).toBe(true);
  world.resolver.followed(CHAIN_ID, 99, hashOf);
  expect(await world.find(1)).toMatchObject({ tier: 'chain' });
});

it('what nodes say of another branch than the watched one is an answer, and is kept nowhere', async () => {
  const stored = new Map<string, string>();
  const world = ahead(sharedIn(stored));
  world.resolver.followed(CHAIN_ID, 102, other);
  for (let n = 0; n < 2; n += 1) {
    const found = await world.find(1);
    expect(found.tier).toBe('chain');
    expect(world.resolver.admit(found)).toBe(true);
  }
  await settled();
  expect(stored.size).toBe(0);
});

it('what another node has shared of a branch that this one did not follow is not used', async () => {
  const stored = new Map<string, string>();
  await ahead(sharedIn(stored)).find(1);
  await settled();
  const world = ahead(sharedIn(stored));
  world.resolver.followed(CHAIN_ID, 102, other);
  expect(await world.find(1)).toMatchObject({ tier: 'chain' });
  expect(world.resolver.stats().outdated).toBe(1);
});

it('the oldest, when more were read ahead than are remembered', async () => {
  const world = newWorld({ bounds: { recentEntries: 10_000 } });
  world.resolver.followed(CHAIN_ID, 100, hashOf);
  world.registry.blockNumber = 102;
  for (let agent = 0; agent <= 4_096; agent += 1) await codeOf(() => world.find(agent));
  expect(world.resolver.stats().recentAnswers).toBe(4_096);
});

it('on a real chain, between two looks of the watcher', async () => {
  await using chain = await startChain();
  const { chainId, httpUrl } = chain.anvil;
  await chain.anvil.mine(10);
  const keys = followKeys(chain, { url: httpUrl, pollIntervalMs: 1_500 });
  try {
    await until(() => keys.chains()[0]?.state.connected, 'the watch has begun');
    const { agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } });
    const keyId = parseKeyId(`${agentDid(chainId, chain.registry, agentId)}#main`);
    const find = () =>
      codeOf(async () => keys.resolver.admit(await keys.resolver.find(keyId, { safeMethod: true })));
    expect(await find()).toBe('no error');
    await chain.anvil.reorg(1);
    await chain.anvil.mine(1);
    await until(async () => (await find()) === 'did_unknown', 'the key is gone with its block');
  } finally {
    await keys.close();
  }
});
