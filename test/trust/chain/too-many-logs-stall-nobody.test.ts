import { expect, test } from 'vitest';
import type { BlockRef } from '../../../src/trust/chain/blocks.ts';
import type { RegistryChange } from '../../../src/trust/chain/changes.ts';
import { ChainError } from '../../../src/trust/chain/errors.ts';
import { createFollower } from '../../../src/trust/chain/follower.ts';
import { RESPONSE_BYTES_MAX } from '../../../src/trust/chain/json-rpc.ts';
import type { Batch } from '../../../src/trust/chain/log-range.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { observe, someKey, startChain, type TestChain } from './fixture.ts';
import { type Behaviour, startProxy } from './proxy-fixture.ts';

/** A node on whose block of that number there are more logs than fit into an answer, however they are asked for. */
async function hugeAt({ anvil, registry }: TestChain, block: number): Promise<Behaviour> {
  const { hash } = (await anvil.call('eth_getBlockByNumber', `0x${block.toString(16)}`, false)) as BlockRef;
  const log = { topics: [], data: `0x${'00'.repeat(RESPONSE_BYTES_MAX / 2)}`, address: registry };
  return {
    tell({ params: [asked] }, result) {
      const { blockHash, fromBlock, toBlock } = Object(asked) as Record<string, string | undefined>;
      return blockHash === hash || (Number(fromBlock) <= block && Number(toBlock) >= block) ? [log] : result;
    },
  };
}

const blockOf = async ({ anvil }: TestChain): Promise<number> => Number(await anvil.call('eth_blockNumber'));

test('a block whose logs fit into no answer is one in which anybody may have changed; the others are read', async () => {
  await using chain = await startChain({ slotsInAnEpoch: 8 });
  const { owner, anvil, registry } = chain;
  const { agentId } = await owner.registerAgent({ keys: { main: someKey() } });
  await anvil.mine(3);
  await using proxy = await startProxy(anvil.httpUrl);
  await using seen = observe({
    urls: [proxy.url],
    registries: [{ address: registry, fromBlock: 0 }],
    pollIntervalMs: 20,
  });
  await seen.watcher.ready;
  expect(seen.changes.some(({ kind }) => kind === 'reset')).toBe(false);
  const head = await blockOf(chain);
  // It hears of the next blocks all at once.
  proxy.behaviour = { cuts: true };
  const added = await owner.setKey(agentId, 'second', someKey());
  await anvil.mine(1);
  const revoked = await owner.revokeKey(agentId, 'main');
  await anvil.mine(4);
  proxy.behaviour = await hugeAt(chain, head + 2);
  expect(await seen.seen(({ kind }) => kind === 'reset')).toMatchObject({ blockNumber: head + 2 });
  expect(await seen.seen((one) => one.kind === 'key' && one.blockHash === revoked.blockHash)).toMatchObject({
    agentId,
    fragment: 'main',
  });
  await seen.followed(head + 7);
  // All seven, then each alone: a connection more would be as long without news again.
  expect(seen.warnings.filter((line) => line.includes('larger than its bound'))).toHaveLength(2);
  const resets = (): unknown[] => seen.changes.filter(({ kind }) => kind === 'reset');
  expect(resets()).toHaveLength(1);
  // What it granted counts once it is safe, and so does what was granted before it.
  await anvil.mine(8);
  await seen.seen((one) => one.kind === 'key' && one.blockHash === added.blockHash && one.safe);
  // Whoever reads again must know of all that came until then.
  await seen.seen((one) => one.kind === 'reset' && one.blockNumber >= head + 2 + 8);
  expect(resets()).toHaveLength(2);
});

test('one that was overlooked in an absence is no reason to stay away', async () => {
  await using chain = await startChain({ slotsInAnEpoch: 8 });
  const { owner, anvil, registry } = chain;
  const { agentId } = await owner.registerAgent({ keys: { main: someKey() } });
  await anvil.mine(10);
  await using proxy = await startProxy(anvil.httpUrl, await hugeAt(chain, await blockOf(chain)));
  await using seen = observe({
    urls: [proxy.url],
    registries: [{ address: registry, fromBlock: 0 }],
    pollIntervalMs: 20,
  });
  await seen.watcher.ready;
  const resets = (): unknown[] => seen.changes.filter(({ kind }) => kind === 'reset');
  expect(resets()).toHaveLength(1);
  const revoked = await owner.revokeKey(agentId, 'main');
  await seen.seen((one) => one.kind === 'key' && one.blockHash === revoked.blockHash);
  expect(resets()).toHaveLength(1);
  // What was granted in what was not read counts by then.
  await anvil.mine(8);
  await seen.seen((one) => one.kind === 'reset' && one.blockNumber > revoked.blockNumber);
});

test('nor are many blocks together, over a socket that ends with too large an answer', async () => {
  await using chain = await startChain();
  const changes: RegistryChange[] = [];
  const follower = createFollower({
    registries: [{ address: chain.registry, fromBlock: 0 }],
    finality: 'safe',
    loadCheckpoint: () => undefined,
    mayBeginAnew: false,
    onChanged: (change) => changes.push(change),
    onTip: () => undefined,
  });
  const rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: chain.anvil.chainId });
  let ended = false;
  const socket: Batch = async (calls) => {
    ended ||= calls.some(({ params: [asked] }) => Object(asked).fromBlock !== undefined);
    if (ended) throw new ChainError('rpc_too_large');
    return await rpc.batch(calls);
  };
  await follower.poll(socket);
  expect(changes.map(({ kind }) => kind)).toEqual(['reset']);
  const { blockHash } = await chain.owner.registerAgent({ keys: { main: someKey() } });
  await follower.poll((calls) => rpc.batch(calls));
  expect(changes.some((change) => change.kind === 'key' && change.blockHash === blockHash)).toBe(true);
  await rpc.close();
});
