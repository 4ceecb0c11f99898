import { expect, test } from 'vitest';
import { readAgentKeys } from '../../../src/trust/chain/agent-keys.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { observe, someKey, startChain } from './fixture.ts';

test.each(['wsUrl', 'httpUrl'] as const)(
  '%s: who was touched by dropped blocks is reported, and nobody else',
  async (transport) => {
    await using chain = await startChain();
    const { owner, anvil, registry } = chain;
    const before = await owner.registerAgent({ keys: { main: someKey() } });
    await anvil.mine(5);
    await using seen = observe({
      urls: [anvil[transport]],
      registries: [{ address: registry }],
      pollIntervalMs: 20,
    });
    await seen.watcher.ready;
    const after = await owner.registerAgent({ keys: { main: someKey() } });
    await anvil.mine(2);
    await seen.followed(after.blockNumber + 2);

    await anvil.reorg(4);
    await anvil.mine();
    await seen.followed(after.blockNumber + 3);
    const reorg = await seen.seen((change) => change.kind === 'reorg');
    expect(reorg).toMatchObject({ registry, agentId: after.agentId, blockHash: after.blockHash });
    expect(seen.changes.some((change) => change.kind === 'reorg' && change.agentId === before.agentId)).toBe(
      false,
    );
    const rpc = createRpc({ urls: [anvil.httpUrl], chainId: 31337 });
    expect((await readAgentKeys(rpc, { registry, agentId: after.agentId })).exists).toBe(false);
    expect((await readAgentKeys(rpc, { registry, agentId: before.agentId })).keys).toHaveLength(1);
    await rpc.close();
  },
);

test('a key in a block that is dropped before it was safe is never reported as safe', async () => {
  await using chain = await startChain({ slotsInAnEpoch: 8 });
  const { owner, anvil, registry } = chain;
  await anvil.mine(10);
  await using seen = observe({ urls: [anvil.wsUrl], registries: [{ address: registry }] });
  await seen.watcher.ready;
  const dropped = await owner.registerAgent({ keys: { main: someKey() } });
  await seen.followed(dropped.blockNumber);
  await anvil.reorg(3);
  await anvil.mine(20);
  await seen.followed(dropped.blockNumber + 20);
  await seen.seen((change) => change.kind === 'reorg');
  expect(seen.changes.some((change) => change.kind === 'key' && change.safe)).toBe(false);
});

test('a reorganisation deeper than is remembered resets the registry', async () => {
  await using chain = await startChain();
  await chain.anvil.mine(10);
  await using seen = observe({
    urls: [chain.anvil.wsUrl],
    registries: [{ address: chain.registry, fromBlock: 0 }],
  });
  await seen.watcher.ready;
  expect(seen.changes.some((change) => change.kind === 'reset')).toBe(false);
  await chain.anvil.reorg(8);
  await chain.anvil.mine();
  expect(await seen.seen((change) => change.kind === 'reset')).toMatchObject({ registry: chain.registry });
});
