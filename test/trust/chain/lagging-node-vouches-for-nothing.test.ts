import { expect, test } from 'vitest';
import { observe, startChain, startNode } from './fixture.ts';

test('a node that falls behind what was followed confirms nothing, and another one is tried', async () => {
  await using chain = await startChain();
  const { anvil } = chain;
  const old = await anvil.call('eth_getBlockByNumber', 'latest', false);
  let lagging = false;
  await using node = await startNode(
    (call) => (lagging && call.params[0] === 'latest' ? { id: call.id, result: old } : undefined),
    anvil.httpUrl,
  );
  let clock = 1;
  await using seen = observe({
    urls: [node.url, anvil.wsUrl],
    registries: [{ address: chain.registry }],
    pollIntervalMs: 20,
    now: () => clock,
  });
  await anvil.mine(3);
  await seen.watcher.ready;
  const { head, freshAtMs } = seen.watcher.state();
  expect(freshAtMs).toBe(1);
  lagging = true;
  clock = 2;
  const { agentId } = await chain.owner.registerAgent();
  await seen.seen((change) => change.kind === 'registered' && change.agentId === agentId);
  expect(seen.warnings).toEqual([expect.stringContaining('is behind a block that is known already')]);
  expect(seen.watcher.state()).toMatchObject({ node: anvil.wsUrl, lastError: { code: 'rpc_stale' } });
  expect(seen.watcher.state().head?.number).toBeGreaterThan(head?.number ?? 0);
});
