import { expect, test } from 'vitest';
import { RESPONSE_BYTES_MAX } from '../../../src/trust/chain/json-rpc.ts';
import { observe, someKey, startChain } from './fixture.ts';
import { startProxy } from './proxy-fixture.ts';

test('a block whose logs fit into no answer is one in which anybody may have changed; the others are read', async () => {
  await using chain = await startChain();
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
  const head = Number(await anvil.call('eth_blockNumber'));
  // It hears of the next blocks all at once.
  proxy.behaviour = { cuts: true };
  await anvil.mine(2);
  const revoked = await owner.revokeKey(agentId, 'main');
  await anvil.mine(4);
  const huge = (await anvil.call('eth_getBlockByNumber', `0x${(head + 2).toString(16)}`, false)) as {
    hash: string;
  };
  const log = { topics: [], data: `0x${'00'.repeat(RESPONSE_BYTES_MAX / 2)}`, address: registry };
  proxy.behaviour = {
    tell: (call, result) =>
      (call.params[0] as { blockHash?: string } | undefined)?.blockHash === huge.hash ? [log] : result,
  };
  expect(await seen.seen(({ kind }) => kind === 'reset')).toMatchObject({ blockNumber: head + 2 });
  expect(await seen.seen((one) => one.kind === 'key' && one.blockHash === revoked.blockHash)).toMatchObject({
    agentId,
    fragment: 'main',
  });
  await seen.followed(head + 7);
  expect(seen.changes.filter(({ kind }) => kind === 'reset')).toHaveLength(1);
});
