import { expect, test } from 'vitest';
import type { BlockRef } from '../../../src/trust/chain/blocks.ts';
import { observe, someKey, startChain } from './fixture.ts';

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
