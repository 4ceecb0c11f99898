import { describe, expect, it } from 'vitest';
import { agentDid, parseKeyId } from '../../../src/trust/did/did-url.ts';
import { openKeySource } from '../../../src/trust/key-source.ts';
import { until } from '../../support/gateway.ts';
import { someKey, startChain } from '../chain/fixture.ts';
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

it('a chain that is reorganised to before the watch began is read on', async () => {
  await using chain = await startChain();
  const { chainId, wsUrl } = chain.anvil;
  const { agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } });
  await chain.anvil.mine(50);
  const before = await chain.anvil.call('evm_snapshot');
  await chain.anvil.mine(4);
  const keys = openKeySource({
    chains: [
      {
        id: chainId,
        urls: [wsUrl],
        registries: [{ kind: 'erc8004', address: chain.registry, fromBlock: 0 }],
        finality: { confirmations: 20 },
      },
    ],
    configured: () => undefined,
    shared: null,
    clusterSecret: null,
    pollIntervalMs: 50,
    allowPrivateHosts: false,
    log: { info: () => undefined, warn: () => undefined },
    now: Date.now,
    monotonicNow: () => performance.now(),
  });
  try {
    const head = (): number => keys.chains()[0]?.state.head?.number ?? 0;
    const from = await until(() => head() || null, 'the watch has begun');
    await chain.anvil.call('evm_revert', before);
    await chain.anvil.mine(1);
    await until(() => head() < from, 'the reorganisation is followed');
    const keyId = parseKeyId(`${agentDid(chainId, chain.registry, agentId)}#main`);
    expect(await keys.resolver.find(keyId, { safeMethod: false })).toMatchObject({ tier: 'chain' });
  } finally {
    await keys.close();
  }
});
