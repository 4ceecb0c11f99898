import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readAgentKeys } from '../../../src/trust/chain/agent-keys.ts';
import { BATCHES_WAITING_MAX } from '../../../src/trust/chain/json-rpc.ts';
import { createRpc, type RpcOptions } from '../../../src/trust/chain/rpc.ts';
import { HANG, someKey, startChain, startNode, type TestChain } from './fixture.ts';

let chain: TestChain;
let agentId: bigint;
beforeAll(async () => {
  chain = await startChain();
  ({ agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } }));
  await chain.anvil.mine();
});
afterAll(() => chain[Symbol.asyncDispose]());

async function read(urls: readonly string[], options: Partial<RpcOptions> = {}, atLeastBlock = 0) {
  const rpc = createRpc({ urls, chainId: 31337, timeoutMs: 300, ...options });
  try {
    return await readAgentKeys(rpc, { registry: chain.registry, agentId, atLeastBlock });
  } finally {
    await rpc.close();
  }
}

/** A port that was free a moment ago. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('a node that cannot be reached is an error of its own, over either transport', async () => {
  const port = await closedPort();
  await expect(read([`http://127.0.0.1:${port}`])).rejects.toMatchObject({ code: 'rpc_unreachable' });
  await expect(read([`ws://127.0.0.1:${port}`])).rejects.toMatchObject({ code: 'rpc_unreachable' });
});

test('so is one that hangs, one that answers 500, and one that has no JSON', async () => {
  await using hanging = await startNode(() => HANG);
  await expect(read([hanging.url])).rejects.toMatchObject({ code: 'rpc_timeout' });
  await using failing = await startNode((_call, response) => {
    if (!response.writableEnded) response.writeHead(500).end('oops');
    return HANG;
  });
  await expect(read([failing.url])).rejects.toMatchObject({
    code: 'rpc_unreachable',
    message: expect.stringContaining('500'),
  });
  await using page = await startNode((_call, response) => {
    if (!response.writableEnded) response.end('<html>');
    return HANG;
  });
  await expect(read([page.url])).rejects.toMatchObject({ code: 'rpc_bad_answer' });
});

test('an answer larger than its bound is not read', async () => {
  await using node = await startNode((call) => ({ id: call.id, result: `0x${'00'.repeat(200_000)}` }));
  await expect(read([node.url], { responseBytesMax: 100_000 })).rejects.toMatchObject({
    code: 'rpc_too_large',
  });
});

test('a node behind a block that is known already does not get to show an older truth', async () => {
  await expect(read([chain.anvil.httpUrl], {}, 1_000)).rejects.toMatchObject({ code: 'rpc_stale' });
});

test('a node whose history is pruned contradicts ownerOf, and is not believed', async () => {
  await using pruned = await startNode(
    (call) => (call.method === 'eth_getLogs' ? { id: call.id, result: [] } : undefined),
    chain.anvil.httpUrl,
  );
  await expect(read([pruned.url])).rejects.toMatchObject({ code: 'rpc_bad_answer' });
});

test('where one node fails the next is asked, and asked first from then on', async () => {
  await using hanging = await startNode(() => HANG);
  const rpc = createRpc({ urls: [hanging.url, chain.anvil.wsUrl], chainId: 31337, timeoutMs: 200 });
  for (let i = 0; i < 3; i++) {
    expect((await readAgentKeys(rpc, { registry: chain.registry, agentId })).keys).toHaveLength(1);
  }
  expect(hanging.requests).toHaveLength(1);
  await rpc.close();
});

test('calls that wait for a node that hangs are bounded', async () => {
  await using hanging = await startNode(() => HANG);
  const rpc = createRpc({ urls: [hanging.url], chainId: 31337, timeoutMs: 500 });
  const call = [{ method: 'eth_blockNumber', params: [] }];
  const waiting = Promise.allSettled(Array.from({ length: BATCHES_WAITING_MAX }, () => rpc.batch(call)));
  // Links open in a later turn, so the one too many is asked after they have.
  await Promise.resolve().then(() => undefined);
  await expect(rpc.batch(call)).rejects.toMatchObject({ code: 'rpc_busy' });
  const outcomes = await waiting;
  expect(outcomes.every((one) => one.status === 'rejected' && one.reason.code === 'rpc_timeout')).toBe(true);
  await rpc.close();
});

test('errors name the node without the key that its URL carries', async () => {
  const port = await closedPort();
  const error = await read([`http://user:secret@127.0.0.1:${port}/v2/secret?key=secret`]).catch(
    (e: unknown) => e,
  );
  expect(String(error)).toContain(`http://127.0.0.1:${port}`);
  expect(String(error)).not.toContain('secret');
  expect(() => createRpc({ urls: ['ftp://x/secret'], chainId: 1 })).toThrow(/not an http/);
});
