import { expect, test } from 'vitest';
import { readAgentKeys } from '../../../src/trust/chain/agent-keys.ts';
import { replayKeys } from '../../../src/trust/chain/key-history.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { someKey, startChain } from './fixture.ts';
import { AGENT, ALICE, BOB, burn, mint, setKey, transfer } from './history.ts';

test('a sale in the history revokes what was set before it, in the same block too', () => {
  const logs = [
    mint(10),
    setKey(10, 'old', someKey()),
    setKey(20, 'just-before', someKey(), 0),
    transfer(20, ALICE, BOB, 1),
    setKey(20, 'just-after', someKey(), 2),
    setKey(30, 'new', someKey()),
  ];
  const { owner, keys } = replayKeys(logs, AGENT, 100);
  expect(owner).toBe(BOB);
  expect(keys.map((key) => key.fragment)).toEqual(['just-after', 'new']);
});

test('a sale counts before it is safe, and a burnt agent has no keys', () => {
  const logs = [mint(10), setKey(10, 'old', someKey())];
  expect(replayKeys([...logs, transfer(50, ALICE, BOB)], AGENT, 20).keys).toEqual([]);
  expect(replayKeys([...logs, burn(50)], AGENT, 20)).toMatchObject({ owner: undefined, keys: [] });
});

test('on the chain: metadata survives the sale, the keys of the seller do not', async () => {
  await using chain = await startChain();
  const rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: 31337 });
  const buyer = chain.writer(1);
  const [sold, bought] = [someKey(), someKey()];
  const { agentId } = await chain.owner.registerAgent({ uri: 'https://agent.example', keys: { main: sold } });
  await chain.owner.setMetadata(agentId, 'agentName', Buffer.from('weather'));
  await chain.owner.transferAgent(agentId, buyer.account);
  const read = () => readAgentKeys(rpc, { registry: chain.registry, agentId });
  expect(await read()).toMatchObject({ exists: true, owner: buyer.account, keys: [], pending: [] });
  await expect(chain.owner.setKey(agentId, 'main', sold)).rejects.toMatchObject({
    code: 'transaction_failed',
  });
  await buyer.setKey(agentId, 'main', bought);
  await chain.anvil.mine();
  expect((await read()).keys).toMatchObject([{ fragment: 'main', ...bought }]);
  await rpc.close();
});
