import { expect, test } from 'vitest';
import { observe, someKey, startChain, startNode } from './fixture.ts';

test('over HTTP the same changes are reported, at the pace of the polls', async () => {
  await using chain = await startChain();
  const { owner, registry } = chain;
  await using seen = observe({
    urls: [chain.anvil.httpUrl],
    registries: [{ address: registry }],
    pollIntervalMs: 20,
  });
  await seen.watcher.ready;
  const { agentId } = await owner.registerAgent({ keys: { main: someKey() } });
  await seen.seen((change) => change.kind === 'registered' && change.agentId === agentId);
  await chain.anvil.mine(40);
  await seen.seen((change) => change.kind === 'key' && change.agentId === agentId && change.safe);
  const { blockNumber } = await owner.revokeKey(agentId, 'main');
  await seen.seen((change) => change.kind === 'key' && change.blockNumber === blockNumber);
  await seen.followed(blockNumber);
  expect(seen.watcher.state()).toMatchObject({
    connected: true,
    lagBlocks: 0,
    head: { number: blockNumber },
  });
});

test('of several nodes, the next is used when one is away', async () => {
  await using chain = await startChain();
  const node = await startNode(() => undefined, chain.anvil.httpUrl);
  await using seen = observe({
    urls: [node.url, chain.anvil.wsUrl],
    registries: [{ address: chain.registry }],
    pollIntervalMs: 20,
  });
  await seen.watcher.ready;
  expect(seen.watcher.state().node).toBe(node.url);
  await node[Symbol.asyncDispose]();
  const { agentId } = await chain.owner.registerAgent();
  await seen.seen((change) => change.kind === 'registered' && change.agentId === agentId);
  expect(seen.watcher.state()).toMatchObject({
    node: chain.anvil.wsUrl,
    lastError: { code: 'rpc_unreachable' },
  });
});

test('a gap longer than is remembered is read as a range', async () => {
  await using chain = await startChain();
  await using seen = observe({
    urls: [chain.anvil.httpUrl],
    registries: [{ address: chain.registry }],
    pollIntervalMs: 300,
  });
  await seen.watcher.ready;
  const { agentId } = await chain.owner.registerAgent();
  await chain.anvil.mine(600);
  await seen.seen((change) => change.kind === 'registered' && change.agentId === agentId);
  expect(seen.changes.filter((change) => change.kind === 'reset')).toHaveLength(1);
});
