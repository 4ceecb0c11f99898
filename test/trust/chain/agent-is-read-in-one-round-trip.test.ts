import { afterAll, beforeAll, expect, test } from 'vitest';
import { readAgentKeys } from '../../../src/trust/chain/agent-keys.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { someKey, startChain, startNode, type TestChain } from './fixture.ts';

let chain: TestChain;
beforeAll(async () => {
  chain = await startChain();
});
afterAll(() => chain[Symbol.asyncDispose]());

test.each([0, 20])(
  'an agent with %i changes is read in one round trip, the proof of the chain included',
  async (changes) => {
    const last = someKey();
    const { agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } });
    for (let i = 1; i < changes; i++) await chain.owner.setKey(agentId, `k${i % 4}`, someKey());
    if (changes > 0) await chain.owner.setKey(agentId, 'main', last);
    await chain.anvil.mine();
    await using node = await startNode(() => undefined, chain.anvil.httpUrl);
    const rpc = createRpc({ urls: [node.url], chainId: 31337 });
    const read = await readAgentKeys(rpc, { registry: chain.registry, agentId });
    expect(node.requests).toHaveLength(1);
    expect(read).toMatchObject({ exists: true, owner: chain.owner.account, pending: [], ignored: [] });
    expect(read.keys).toHaveLength(changes === 0 ? 1 : 5);
    if (changes > 0) expect(read.keys.find((key) => key.fragment === 'main')).toMatchObject(last);
    expect(read.blockHash).toMatch(/^0x[0-9a-f]{64}$/);
    await rpc.close();
  },
);

test.each(['httpUrl', 'wsUrl'] as const)('over %s: set, pending, safe, revoked', async (transport) => {
  const rpc = createRpc({ urls: [chain.anvil[transport]], chainId: 31337 });
  const key = someKey(1_900_000_000);
  const { agentId } = await chain.owner.registerAgent();
  const read = () =>
    readAgentKeys(rpc, { registry: chain.registry.toUpperCase().replace('0X', '0x'), agentId });
  expect(await read()).toMatchObject({ exists: true, keys: [], pending: [] });
  const mined = await chain.owner.setKey(agentId, 'main', key);
  expect(await read()).toMatchObject({
    keys: [],
    pending: [{ fragment: 'main' }],
    blockNumber: mined.blockNumber,
  });
  await chain.anvil.mine();
  expect(await read()).toMatchObject({ keys: [{ fragment: 'main', ...key, setAtBlock: mined.blockNumber }] });
  await chain.owner.revokeKey(agentId, 'main');
  expect(await read()).toMatchObject({ exists: true, keys: [], pending: [] });
  await rpc.close();
});

test('with confirmations, a key counts so many blocks below the head', async () => {
  const rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: 31337 });
  const { agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } });
  const keys = async (confirmations: number) =>
    (await readAgentKeys(rpc, { registry: chain.registry, agentId, finality: { confirmations } })).keys
      .length;
  expect([await keys(0), await keys(1)]).toEqual([1, 0]);
  await chain.anvil.mine(3);
  expect([await keys(3), await keys(4)]).toEqual([1, 0]);
  await rpc.close();
});

test('no such agent, and no registry at the address, are answers and not errors', async () => {
  const rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: 31337 });
  const nobody = await readAgentKeys(rpc, { registry: chain.registry, agentId: 2n ** 256n - 1n });
  expect(nobody).toMatchObject({ exists: false, owner: undefined, keys: [] });
  const nowhere = await readAgentKeys(rpc, { registry: `0x${'12'.repeat(20)}`, agentId: 1n });
  expect(nowhere).toMatchObject({ exists: false, owner: undefined, keys: [] });
  await rpc.close();
});
