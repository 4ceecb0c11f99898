import { afterAll, beforeAll, expect, test } from 'vitest';
import { readAgentKeys } from '../../../src/trust/chain/agent-keys.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { observe, someKey, startChain, startNode, type TestChain, type TestNode } from './fixture.ts';

let chain: TestChain;
let agentId: bigint;
beforeAll(async () => {
  chain = await startChain();
  ({ agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } }));
  await chain.anvil.mine(100);
  await chain.owner.setKey(agentId, 'late', someKey());
  await chain.anvil.mine();
});
afterAll(() => chain[Symbol.asyncDispose]());

/** A provider that answers ranges of at most so many blocks. */
function narrow(blocksMax: number): Promise<TestNode> {
  return startNode((call) => {
    const range = call.params[0] as { fromBlock?: string; toBlock?: string } | undefined;
    if (call.method !== 'eth_getLogs' || range?.fromBlock === undefined) return undefined;
    const to = range.toBlock === 'latest' ? 104 : Number(range.toBlock);
    if (to - Number(range.fromBlock) < blocksMax) return undefined;
    return { id: call.id, error: { code: -32602, message: `up to ${blocksMax} blocks` } };
  }, chain.anvil.httpUrl);
}

test('an agent is read whole from a provider of narrow ranges', async () => {
  await using node = await narrow(10);
  const rpc = createRpc({ urls: [node.url], chainId: 31337 });
  const { keys } = await readAgentKeys(rpc, { registry: chain.registry, agentId });
  expect(keys.map((key) => key.fragment)).toEqual(['main', 'late']);
  await rpc.close();
});

test('the calls spent on it are bounded: one block at a time is refused', async () => {
  await using node = await narrow(1);
  const rpc = createRpc({ urls: [node.url], chainId: 31337 });
  const reading = readAgentKeys(rpc, { registry: chain.registry, agentId });
  await expect(reading).rejects.toMatchObject({ code: 'rpc_refused' });
  expect(node.requests.length).toBeLessThan(70);
  await rpc.close();
});

test('a watcher that cannot read the whole gap resets instead', async () => {
  await using node = await narrow(10);
  await using whole = observe({ urls: [node.url], registries: [{ address: chain.registry, fromBlock: 0 }] });
  await whole.watcher.ready;
  expect(whole.changes.filter((change) => change.kind === 'key' && change.safe)).toHaveLength(2);
  expect(whole.changes.some((change) => change.kind === 'reset')).toBe(false);

  await using narrowest = await narrow(0);
  await using none = observe({
    urls: [narrowest.url, node.url],
    registries: [{ address: chain.registry, fromBlock: 0 }],
  });
  await none.watcher.ready;
  expect(none.watcher.state()).toMatchObject({ node: node.url, lastError: { code: 'rpc_refused' } });
});
