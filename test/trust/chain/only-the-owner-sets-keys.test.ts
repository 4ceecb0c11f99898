import { expect, test } from 'vitest';
import { readAgentKeys } from '../../../src/trust/chain/agent-keys.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { someKey, startChain } from './fixture.ts';

test('the owner and whom he approved set metadata, nobody else; its size is bounded by the contract', async () => {
  await using chain = await startChain();
  const { owner } = chain;
  const [stranger, operator] = [chain.writer(1), chain.writer(2)];
  const failed = { code: 'transaction_failed' };
  const { agentId } = await owner.registerAgent({ keys: { main: someKey() } });

  await expect(stranger.setKey(agentId, 'main', someKey())).rejects.toMatchObject(failed);
  await expect(stranger.revokeKey(agentId, 'main')).rejects.toMatchObject(failed);
  await expect(stranger.setAgentUri(agentId, 'https://evil.example')).rejects.toMatchObject(failed);
  await expect(stranger.transferAgent(agentId, stranger.account)).rejects.toMatchObject(failed);
  await expect(owner.setKey(agentId + 1n, 'main', someKey())).rejects.toMatchObject(failed);

  await owner.approve(agentId, operator.account);
  await operator.setKey(agentId, 'by-operator', someKey());

  await expect(owner.setMetadata(agentId, '', Buffer.from('x'))).rejects.toMatchObject(failed);
  await expect(owner.setMetadata(agentId, 'k'.repeat(97), Buffer.from('x'))).rejects.toMatchObject(failed);
  await expect(owner.setMetadata(agentId, 'k', Buffer.alloc(1025))).rejects.toMatchObject(failed);
  await expect(owner.setMetadata(agentId, 'agentWallet', Buffer.alloc(20))).rejects.toMatchObject(failed);
  await owner.setMetadata(agentId, 'k'.repeat(96), Buffer.alloc(1024, 1));

  await chain.anvil.mine();
  const rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: 31337 });
  const { keys } = await readAgentKeys(rpc, { registry: chain.registry, agentId });
  expect(keys.map((key) => key.fragment)).toEqual(['main', 'by-operator']);
  await rpc.close();
});
