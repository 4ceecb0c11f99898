import { afterAll, beforeAll, expect, test } from 'vitest';
import { readAgentKeys } from '../../../src/trust/chain/agent-keys.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { observe, someKey, startChain, startNode, type TestChain } from './fixture.ts';

let chain: TestChain;
let agentId: bigint;
beforeAll(async () => {
  chain = await startChain();
  ({ agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } }));
  await chain.owner.registerAgent({ keys: { main: someKey() } });
  await chain.anvil.mine();
});
afterAll(() => chain[Symbol.asyncDispose]());

type Lie = (result: unknown) => unknown;
const log =
  (change: object): Lie =>
  (result) =>
    (result as object[]).map((one) => ({ ...one, ...change }));

const lies: readonly (readonly [what: string, method: string, lie: Lie])[] = [
  ['logs of another registry', 'eth_getLogs', log({ address: `0x${'12'.repeat(20)}` })],
  ['logs of another event', 'eth_getLogs', log({ topics: [`0x${'00'.repeat(32)}`] })],
  ['logs without a block', 'eth_getLogs', log({ blockNumber: null })],
  ['logs with an odd number of digits', 'eth_getLogs', log({ data: '0x123' })],
  ['logs that are no list', 'eth_getLogs', () => ({})],
  [
    'a block without a hash',
    'eth_getBlockByNumber',
    () => ({ number: '0x1', parentHash: `0x${'00'.repeat(32)}` }),
  ],
  ['a block number beyond 2^53', 'eth_getBlockByNumber', () => ({ number: '0xffffffffffffffff' })],
  ['an owner who is not the last buyer', 'eth_call', () => `0x${'00'.repeat(12)}${'34'.repeat(20)}`],
  ['an owner that is no address', 'eth_call', () => '0x1234'],
];

test.each(lies)('%s', async (_what, method, lie) => {
  await using liar = await startNode(() => undefined, await honest(method, lie));
  const rpc = createRpc({ urls: [liar.url], chainId: 31337 });
  const reading = readAgentKeys(rpc, { registry: chain.registry, agentId });
  await expect(reading).rejects.toMatchObject({ code: 'rpc_bad_answer' });
  await rpc.close();
});

const nodes: AsyncDisposable[] = [];
afterAll(async () => {
  for (const node of nodes) await node[Symbol.asyncDispose]();
});

/** A node that tells the truth of anvil, except for one method. */
async function honest(method: string, lie: Lie): Promise<string> {
  const real = new Map<string, unknown>();
  const keyOf = (call: { method: string; params: readonly unknown[] }): string =>
    JSON.stringify([call.method, call.params]);
  const node = await startNode((call) => {
    if (call.method !== method) return undefined;
    return { id: call.id, result: lie(real.get(keyOf(call))) };
  }, chain.anvil.httpUrl);
  // What would be true, asked beforehand, so that a lie can be a changed truth.
  const rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: 31337 });
  const recorder = {
    async batch(calls: Parameters<typeof rpc.batch>[0]) {
      const answers = await rpc.batch(calls);
      for (const [i, call] of calls.entries()) {
        const answer = answers[i];
        if (answer?.ok) real.set(keyOf(call), answer.result);
      }
      return answers;
    },
  };
  await readAgentKeys(recorder, { registry: chain.registry, agentId });
  await rpc.close();
  nodes.push(node);
  return node.url;
}

test('answers that are missing, doubled or unasked make the whole batch bad', async () => {
  const shapes = [
    () => [],
    (ids: number[]) => ids.map((id) => ({ id: id + 1, result: '0x7a69' })),
    (ids: number[]) => [...ids, ...ids].map((id) => ({ id, result: '0x7a69' })),
    (ids: number[]) => ids.map((id) => ({ id })),
    () => 'no',
  ];
  for (const shape of shapes) {
    await using liar = await startNode((call, response) => {
      if (!response.writableEnded) response.end(JSON.stringify(shape([call.id, call.id + 1])));
      return undefined;
    });
    const rpc = createRpc({ urls: [liar.url], chainId: 31337 });
    await expect(rpc.batch([{ method: 'eth_blockNumber', params: [] }])).rejects.toMatchObject({
      code: 'rpc_bad_answer',
    });
    await rpc.close();
  }
});

test('a watcher leaves a lying node and says why', async () => {
  await using liar = await startNode(
    (call) => (call.method === 'eth_getLogs' ? { id: call.id, result: [{ topics: [] }] } : undefined),
    chain.anvil.httpUrl,
  );
  await using seen = observe({
    urls: [liar.url, chain.anvil.wsUrl],
    registries: [{ address: chain.registry }],
  });
  await seen.watcher.ready;
  expect(seen.watcher.state()).toMatchObject({
    node: chain.anvil.wsUrl,
    lastError: { code: 'rpc_bad_answer' },
  });
});
