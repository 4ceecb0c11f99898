import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readAgentKeys } from '../../../src/trust/chain/agent-keys.ts';
import { type ChainReads, createReads, type Disagreement } from '../../../src/trust/chain/agreement.ts';
import { METADATA_SET } from '../../../src/trust/chain/events.ts';
import { someKey, startChain, type TestChain } from './fixture.ts';
import { type Behaviour, type NodeProxy, startProxy, stoppedAt } from './proxy-fixture.ts';

let chain: TestChain;
let agentId: bigint;
let proxies: NodeProxy[];
let reads: ChainReads;
let told: Disagreement[];
let telling: EventTarget;

async function open(count: number): Promise<void> {
  proxies = await Promise.all(Array.from({ length: count }, () => startProxy(chain.anvil.httpUrl)));
  told = [];
  telling = new EventTarget();
  reads = createReads({
    urls: proxies.map(({ url }) => url),
    chainId: 31337,
    timeoutMs: 1_000,
    now: Date.now,
    onDisagreement(disagreement) {
      told.push(disagreement);
      telling.dispatchEvent(new Event('told'));
    },
  });
}

beforeEach(async () => {
  chain = await startChain();
  ({ agentId } = await chain.owner.registerAgent({ keys: { main: someKey(), spare: someKey() } }));
  await chain.anvil.mine(2);
});
afterEach(async () => {
  await reads.close();
  for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
  await chain[Symbol.asyncDispose]();
});

const read = async (): Promise<string[]> => {
  const { keys } = await reads.read((rpc, at) =>
    readAgentKeys(rpc, { registry: chain.registry, agentId, ...(at === undefined ? {} : { at }) }),
  );
  return keys.map(({ fragment }) => fragment);
};

/** The first disagreement, told already or still to be told behind an answer. */
async function firstTold(): Promise<Disagreement> {
  if (told.length === 0) await once(telling, 'told');
  return told[0] as Disagreement;
}

interface Log {
  readonly topics: string[];
  readonly data: string;
  readonly blockNumber: string;
}
const logsOf = (call: { method: string }, result: unknown): Log[] | undefined =>
  call.method === 'eth_getLogs' ? (result as Log[]) : undefined;

/** Consistent lies: each would be believed if its node were the only one. */
const lies: Readonly<Record<string, Behaviour>> = {
  'hides the revocation': {
    tell: (call, result) => logsOf(call, result)?.slice(0, 2) ?? result,
  },
  'adds a key': {
    tell(call, result) {
      const logs = logsOf(call, result);
      const [first] = logs ?? [];
      if (logs === undefined || first?.topics[0] !== METADATA_SET) return result;
      // `main` once more, after its revocation.
      return [...logs, { ...logs.at(-1), topics: first.topics, data: first.data, logIndex: '0x63' }];
    },
  },
  'has other blocks': {
    tell: (_call, result) =>
      JSON.parse(JSON.stringify(result).replaceAll(/"hash":"0x[0-9a-f]{8}/g, '"hash":"0xdeadbeef')),
  },
};

describe('three nodes', () => {
  test('that agree are asked once each, and one URL alone once', async () => {
    await open(3);
    expect(await read()).toEqual(['main', 'spare']);
    expect(proxies.map(({ requests }) => requests)).toEqual([1, 1, 1]);
    expect(told).toEqual([]);
    await reads.close();
    for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
    await open(1);
    expect(await read()).toEqual(['main', 'spare']);
    expect(proxies[0]?.requests).toBe(1);
    expect(reads.nodes()).toEqual([]);
  });

  describe.each(Object.keys(lies))('one %s', (lie) => {
    test('is believed where it is alone', async () => {
      await open(1);
      await chain.owner.revokeKey(agentId, 'main');
      await chain.anvil.mine(2);
      (proxies[0] as NodeProxy).behaviour = lies[lie] as Behaviour;
      // Other blocks are no lie about keys.
      expect((await read()).sort()).toEqual(lie === 'has other blocks' ? ['spare'] : ['main', 'spare']);
    });

    test.each([0, 1, 2])('in place %i: it is never believed, and it is told', async (place) => {
      await open(3);
      await chain.owner.revokeKey(agentId, 'main');
      await chain.anvil.mine(2);
      const liar = proxies[place] as NodeProxy;
      liar.behaviour = lies[lie] as Behaviour;
      for (let i = 0; i < 5; i++) expect(await read()).toEqual(['spare']);
      expect(await firstTold()).toMatchObject({ node: liar.url });
      expect(told.every(({ node }) => node === liar.url)).toBe(true);
      expect(reads.nodes().map(({ disagreements }) => disagreements > 0)).toEqual(
        proxies.map((proxy) => proxy === liar),
      );
    });
  });

  test('one that stopped long ago holds nobody back', async () => {
    await open(3);
    const before = Number(await chain.anvil.call('eth_blockNumber'));
    await chain.owner.revokeKey(agentId, 'main');
    await chain.anvil.mine(2);
    (proxies[0] as NodeProxy).behaviour = stoppedAt(before);
    for (let i = 0; i < 5; i++) expect(await read()).toEqual(['spare']);
  });

  test('one block behind while a key changes is no lie', async () => {
    await open(3);
    await chain.owner.revokeKey(agentId, 'main');
    const head = Number(await chain.anvil.call('eth_blockNumber'));
    (proxies[1] as NodeProxy).behaviour = stoppedAt(head - 1);
    expect(await read()).toEqual(['spare']);
    // All three differ: one sees the revocation, one does not, one is away.
    (proxies[2] as NodeProxy).behaviour = { cuts: true };
    expect(await read()).toEqual(['main', 'spare']);
    expect(told).toEqual([]);
  });

  test.each(['hangs', 'cuts'] as const)('one that %s slows nobody', async (fault) => {
    await open(3);
    await read();
    const timed = async (): Promise<number> => {
      const times: number[] = [];
      for (let i = 0; i < 21; i++) {
        const before = performance.now();
        await read();
        times.push(performance.now() - before);
      }
      return times.sort((a, b) => a - b)[10] as number;
    };
    const whole = await timed();
    (proxies[0] as NodeProxy).behaviour = { [fault]: true };
    const halting = await timed();
    console.log(`[*] ${whole.toFixed(1)} ms with three nodes, ${halting.toFixed(1)} ms when one ${fault}`);
    expect(halting).toBeLessThan(500);
    expect(told).toEqual([]);
  });

  test('two that are away leave nothing to agree with', async () => {
    await open(3);
    for (const proxy of proxies.slice(0, 2)) proxy.behaviour = { cuts: true };
    await expect(read()).rejects.toMatchObject({ code: 'rpc_unconfirmed' });
    for (const proxy of proxies) proxy.behaviour = { cuts: true };
    await expect(read()).rejects.toMatchObject({ code: 'rpc_unreachable' });
  });
});

describe('two nodes', () => {
  beforeEach(() => open(2));

  test('must both answer', async () => {
    expect(await read()).toEqual(['main', 'spare']);
    (proxies[0] as NodeProxy).behaviour = { cuts: true };
    await expect(read()).rejects.toMatchObject({ code: 'rpc_unconfirmed' });
    (proxies[0] as NodeProxy).behaviour = {};
    expect(await read()).toEqual(['main', 'spare']);
  });

  test.each(Object.keys(lies))('of which one %s are no answer', async (lie) => {
    await chain.owner.revokeKey(agentId, 'main');
    await chain.anvil.mine(2);
    (proxies[0] as NodeProxy).behaviour = lies[lie] as Behaviour;
    await expect(read()).rejects.toMatchObject({ code: 'rpc_disagreement' });
    expect(told.length).toBeGreaterThan(0);
  });

  test('of which one stopped long ago are no answer, since nobody can tell which', async () => {
    const before = Number(await chain.anvil.call('eth_blockNumber'));
    await chain.owner.revokeKey(agentId, 'main');
    await chain.anvil.call('evm_increaseTime', 3_600);
    await chain.anvil.mine(2);
    (proxies[0] as NodeProxy).behaviour = stoppedAt(before);
    await expect(read()).rejects.toMatchObject({ code: 'rpc_disagreement' });
  });
});

test('of four nodes, the fourth takes the place of one that is away', async () => {
  await open(4);
  for (const proxy of proxies.slice(0, 2)) proxy.behaviour = { cuts: true };
  expect(await read()).toEqual(['main', 'spare']);
  const before = proxies.map(({ requests }) => requests);
  expect(await read()).toEqual(['main', 'spare']);
  // Whoever was away is asked after the others.
  expect(proxies.map(({ requests }, i) => requests - (before[i] as number)).slice(2)).toEqual([1, 1]);
});
