import { afterAll, beforeAll, expect, test } from 'vitest';
import { readEthrKeys } from '../../../src/trust/chain/ethr-keys.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { bytes32, type ContractChain, startEthrChain } from './contract-fixture.ts';
import { startNode } from './fixture.ts';

const NAME = bytes32('did/pub/Ed25519/sigAuth/hex');
let chain: ContractChain;
let accounts: readonly string[];
beforeAll(async () => {
  chain = await startEthrChain();
  accounts = chain.accounts;
});
afterAll(() => chain[Symbol.asyncDispose]());

test.each([0, 20])('an identity with %i changes, the proof of the chain included', async (changes) => {
  const identifier = accounts[changes === 0 ? 1 : 2] as string;
  for (let i = 0; i < changes; i++)
    await chain.transact(
      identifier,
      'setAttribute',
      identifier,
      NAME,
      `0x${String(i).padStart(64, '0')}`,
      9999,
    );
  await chain.anvil.mine();
  await using node = await startNode(() => undefined, chain.anvil.httpUrl);
  const rpc = createRpc({ urls: [node.url], chainId: 31337 });
  const read = await readEthrKeys(rpc, { contract: chain.address, identifier });
  expect(node.requests).toHaveLength(1);
  expect(read).toMatchObject({ exists: true, deactivated: false, pending: [] });
  expect(read.keys).toHaveLength(1 + changes);
  await rpc.close();
});

test('what a node leaves out, the contract tells; no contract and no node are no answer', async () => {
  const identifier = accounts[3] as string;
  await chain.transact(identifier, 'setAttribute', identifier, NAME, `0x${'11'.repeat(32)}`, 9999);
  await chain.transact(identifier, 'revokeAttribute', identifier, NAME, `0x${'11'.repeat(32)}`);
  await chain.anvil.mine();
  const call = { contract: chain.address, identifier };
  const honest = createRpc({ urls: [chain.anvil.httpUrl], chainId: 31337 });
  const filter = { fromBlock: '0x0', toBlock: 'latest', address: chain.address };
  const logs = (await chain.anvil.call('eth_getLogs', filter)) as object[];
  await using liar = await startNode(
    ({ id, method }) => (method === 'eth_getLogs' ? { id, result: logs.slice(0, -1) } : undefined),
    chain.anvil.httpUrl,
  );
  await using away = await startNode((_call, response) => {
    response.writeHead(503).end();
  });
  for (const [url, ref, code] of [
    [liar.url, call, 'rpc_bad_answer'],
    [chain.anvil.httpUrl, { ...call, contract: `0x${'12'.repeat(20)}` }, 'rpc_bad_answer'],
    [away.url, call, 'rpc_unreachable'],
    [chain.anvil.httpUrl, { ...call, atLeastBlock: 1_000_000 }, 'rpc_stale'],
  ] as const) {
    const rpc = createRpc({ urls: [url], chainId: 31337 });
    await expect(readEthrKeys(rpc, ref)).rejects.toMatchObject({ code });
    await rpc.close();
  }
  expect((await readEthrKeys(honest, call)).keys).toHaveLength(1);
  await honest.close();
});

test('at a block that is named, and at no other', async () => {
  const identifier = accounts[4] as string;
  const set = await chain.transact(
    identifier,
    'setAttribute',
    identifier,
    NAME,
    `0x${'22'.repeat(32)}`,
    9999,
  );
  const block = (await chain.anvil.call('eth_getBlockByNumber', 'latest', false)) as { hash: string };
  await chain.transact(identifier, 'revokeAttribute', identifier, NAME, `0x${'22'.repeat(32)}`);
  const rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: 31337 });
  const at = { number: set.blockNumber, hash: block.hash };
  const ref = { contract: chain.address, identifier, finality: { confirmations: 0 } };
  expect((await readEthrKeys(rpc, { ...ref, at })).keys).toHaveLength(2);
  expect((await readEthrKeys(rpc, ref)).keys).toHaveLength(1);
  const other = { ...at, hash: `0x${'ee'.repeat(32)}` };
  await expect(readEthrKeys(rpc, { ...ref, at: other })).rejects.toThrow();
  const ahead = { ...at, number: at.number + 1_000 };
  await expect(readEthrKeys(rpc, { ...ref, at: ahead })).rejects.toMatchObject({ code: 'rpc_stale' });
  await rpc.close();
});
