import { expect, test } from 'vitest';
import type { BlockRef } from '../../../src/trust/chain/blocks.ts';
import { observe, someKey, startChain, startNode } from './fixture.ts';

test('a restart reports what it missed and resets nothing; a checkpoint of another chain resets', async () => {
  await using chain = await startChain();
  const { owner, anvil, registry } = chain;
  let saved: BlockRef | undefined;
  const checkpoint = {
    load: () => saved,
    save(block: BlockRef) {
      saved = block;
    },
  };
  const options = { urls: [anvil.wsUrl], registries: [{ address: registry }], checkpoint };
  const { agentId } = await owner.registerAgent({ keys: { main: someKey() } });

  const first = observe(options);
  await first.watcher.ready;
  // Nothing was followed before, so nobody can say what other caches hold.
  expect(first.changes[0]).toMatchObject({ kind: 'reset', registry });
  await first.watcher.close();
  expect(saved).toEqual(first.watcher.state().head);

  const missed = await owner.revokeKey(agentId, 'main');
  await anvil.mine(300);
  const second = observe(options);
  await second.watcher.ready;
  const kinds = second.changes.map((change) => change.kind);
  expect(kinds).not.toContain('reset');
  expect(
    second.changes.some((change) => change.kind === 'key' && change.blockNumber === missed.blockNumber),
  ).toBe(true);
  await second.watcher.close();

  saved = { number: saved?.number ?? 0, hash: `0x${'ee'.repeat(32)}` };
  const third = observe(options);
  await third.watcher.ready;
  expect(third.changes[0]).toMatchObject({ kind: 'reset', registry });
  await third.watcher.close();
});

test('a node that is behind the checkpoint is waited for, and gives nothing back that was revoked up to there', async () => {
  await using chain = await startChain();
  const { owner, anvil, registry } = chain;
  const { agentId } = await owner.registerAgent({ keys: { main: someKey() } });
  const old = await anvil.call('eth_getBlockByNumber', 'latest', false);
  const { blockNumber } = await owner.revokeKey(agentId, 'main');
  const { hash } = (await anvil.call('eth_getBlockByNumber', 'latest', false)) as { hash: string };
  let lagging = true;
  await using node = await startNode(
    (call) => (lagging && call.params[0] === 'latest' ? { id: call.id, result: old } : undefined),
    anvil.httpUrl,
  );
  let loads = 0;
  const checkpoint = {
    load() {
      loads += 1;
      // Others who share it go on.
      return { number: blockNumber + loads - 1, hash };
    },
    save: () => undefined,
  };
  await using seen = observe({
    urls: [node.url],
    registries: [{ address: registry }],
    checkpoint,
    mayBeginAnew: false,
    random: () => 0,
  });
  await expect.poll(() => seen.warnings.length, { interval: 5 }).toBeGreaterThan(2);
  expect(new Set(seen.warnings)).toEqual(
    new Set([expect.stringContaining('is behind a block that is known')]),
  );
  expect(seen.changes).toEqual([]);
  lagging = false;
  await seen.watcher.ready;
  expect(seen.changes.map((change) => change.kind)).not.toContain('reset');
  expect(loads).toBe(1);
});

test('without a checkpoint, fromBlock makes it tell the whole history', async () => {
  await using chain = await startChain();
  const { agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } });
  await chain.anvil.mine(400);
  await using seen = observe({
    urls: [chain.anvil.httpUrl],
    registries: [{ address: chain.registry, fromBlock: 0 }],
  });
  await seen.watcher.ready;
  expect(seen.changes.map((change) => change.kind)).toEqual(['transfer', 'key', 'registered', 'key']);
  expect(seen.changes.at(-1)).toMatchObject({ agentId, fragment: 'main', safe: true });
});

test('a checkpoint that cannot be saved, and a listener that throws, stop nothing', async () => {
  await using chain = await startChain();
  await using seen = observe({
    urls: [chain.anvil.wsUrl],
    registries: [{ address: chain.registry }],
    checkpoint: { load: () => undefined, save: () => Promise.reject(new Error('disk full')) },
    onHead: () => {
      throw new Error('listener');
    },
  });
  await seen.watcher.ready;
  const { agentId } = await chain.owner.registerAgent();
  await seen.seen((change) => change.kind === 'registered' && change.agentId === agentId);
  expect(seen.warnings.some((line) => line.includes('checkpoint was not saved'))).toBe(true);
});
