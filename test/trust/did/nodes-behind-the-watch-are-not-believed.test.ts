import { beforeEach, describe, expect, it } from 'vitest';
import type { WatcherState } from '../../../src/trust/chain/watcher.ts';
import { agentDid, type ParsedKeyId, parseKeyId } from '../../../src/trust/did/did-url.ts';
import type { KeySource } from '../../../src/trust/key-source.ts';
import { until } from '../../support/gateway.ts';
import { followKeys, someKey, startChain, type TestChain } from '../chain/fixture.ts';
import { CHAIN_ID, codeOf, newIdentity, newWorld, settled, slot, type World } from './world.ts';

/** A process that begins at block 100, and whose reads reach a node that is at another one. */
function startedAt100(readsAt: number): World {
  const world = newWorld({ watched: false });
  world.registry.agents.set('1', [slot('k1', newIdentity())]);
  world.registry.blockNumber = readsAt;
  world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
  world.resolver.watchedFrom(CHAIN_ID, 100);
  return world;
}

describe('what changed before this process watched is told by no event', () => {
  it('so a node that is behind the block where the watch begins is not believed', async () => {
    const world = startedAt100(99);
    expect(await codeOf(() => world.find(1))).toBe('did_unresolvable');
    world.registry.blockNumber = 100;
    expect(await world.find(1)).toMatchObject({ tier: 'chain' });
  });

  it('nor is what was read before the watch began', async () => {
    const world = newWorld({ watched: false });
    world.registry.agents.set('1', [slot('k1', newIdentity())]);
    world.registry.blockNumber = 99;
    const early = await world.find(1);
    expect(world.resolver.admit(early)).toBe(true);
    const release = world.registry.hold();
    const late = codeOf(() => world.find(2));
    await settled();
    world.registry.agents.set('1', []);
    world.resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
    world.resolver.watchedFrom(CHAIN_ID, 100);
    world.registry.blockNumber = 100;
    release();
    expect(world.resolver.stands(early)).toBe(false);
    expect(await codeOf(() => world.find(1))).toBe('key_unknown');
    expect(await late).toBe('did_unknown');
  });

  it('a chain that begins anew is believed at its own blocks, whoever changed before', async () => {
    const world = startedAt100(400);
    world.change(1, [slot('k1', newIdentity())]);
    world.registry.blockNumber = 10;
    expect(await codeOf(() => world.find(1))).toBe('did_unresolvable');
    world.resolver.chainChanged({ chainId: CHAIN_ID, kind: 'reset', blockNumber: 10 });
    expect(await world.find(1)).toMatchObject({ tier: 'chain' });
    world.registry.blockNumber = 9;
    expect(await codeOf(() => world.find(2))).toBe('did_unresolvable');
  });
});

/** Follows a chain from wherever it stands. */
const follow = (chain: TestChain): KeySource => followKeys(chain, { confirmations: 20 });

describe('a chain whose head falls', () => {
  let chain: TestChain;
  let keyId: ParsedKeyId;
  let agentId: bigint;
  let before: unknown;
  beforeEach(async () => {
    chain = await startChain();
    ({ agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } }));
    keyId = parseKeyId(`${agentDid(chain.anvil.chainId, chain.registry, agentId)}#main`);
    await chain.anvil.mine(50);
    before = await chain.anvil.call('evm_snapshot');
    return () => chain[Symbol.asyncDispose]();
  });
  const stateOf = (keys: KeySource): WatcherState | undefined => keys.chains()[0]?.state;
  const headOf = (keys: KeySource): number | null => stateOf(keys)?.head?.number ?? null;

  it('is read on after a reorganisation to before the watch began', async () => {
    await chain.anvil.mine(4);
    const keys = follow(chain);
    try {
      const from = await until(() => headOf(keys), 'the watch has begun');
      await chain.anvil.call('evm_revert', before);
      await chain.anvil.mine(1);
      await until(() => (headOf(keys) ?? from) < from, 'the reorganisation is followed');
      expect(await keys.resolver.find(keyId, { safeMethod: false })).toMatchObject({ tier: 'chain' });
    } finally {
      await keys.close();
    }
  });

  it('is not read before the watch has begun', async () => {
    const keys = follow(chain);
    try {
      expect(await codeOf(() => keys.resolver.find(keyId, { safeMethod: true }))).toBe('did_stale');
    } finally {
      await keys.close();
    }
  });

  it('gives no revoked key back while its node merely lags, for however long', async () => {
    await chain.owner.revokeKey(agentId, 'main');
    const keys = follow(chain);
    const find = () => codeOf(() => keys.resolver.find(keyId, { safeMethod: true }));
    try {
      const head = await until(() => headOf(keys), 'the watch has begun');
      expect(await find()).toBe('key_unknown');
      keys.resolver.purge({ all: true }, 'operator');
      // The node is back at a block that was followed before, as another one behind the same URL may be.
      await chain.anvil.call('evm_revert', before);
      const noticed = async (sinceMs: number): Promise<number> =>
        until(() => {
          const { code, atMs = 0 } = stateOf(keys)?.lastError ?? {};
          return code === 'rpc_stale' && atMs > sinceMs && atMs;
        }, 'the lag is noticed');
      await noticed(await noticed(0));
      expect(headOf(keys)).toBe(head);
      expect(await find()).toBe('did_unresolvable');
      // And when it goes on without the revocation, that was not on the chain.
      await chain.anvil.mine(2);
      await until(async () => (await find()) === 'no error', 'the other branch is followed');
    } finally {
      await keys.close();
    }
  });
});
