import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DidPurgeEvent } from '../../src/trust/did/events.ts';
import { makeFolder, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startChain, type TestChain } from '../trust/chain/fixture.ts';
import { registerCaller } from './support/callers.ts';

const folder = makeFolder();
let chain: TestChain;

beforeAll(async () => {
  chain = await startChain();
});
afterAll(async () => {
  await chain[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const open = (): Promise<TestGateway> =>
  openGateway({
    agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'],
    more: `chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }], finality: safe }]`,
    env: { CHAIN_RPC_URLS: chain.anvil.wsUrl },
    folder,
    atOnce: true,
  });

const savedAt = async ({ app }: TestGateway): Promise<number> =>
  (await app.database.checkpoints.load(31337))?.number ?? -1;

test('a gateway that starts again tells of what it missed, and not of what came before', async () => {
  const purges: DidPurgeEvent[] = [];
  const keep = (event: unknown): void => void purges.push(event as DidPurgeEvent);
  subscribe('sage:did.purge', keep);
  try {
    const caller = await registerCaller(chain);
    // More than the latest blocks, which are always read again.
    await chain.anvil.mine(300);
    const first = await open();
    await until(async () => (await savedAt(first)) >= 300, 'the head is saved');
    const before = await savedAt(first);
    const told = purges.filter(({ did }) => did === caller.did).map(({ blockNumber }) => blockNumber ?? 0);
    // A first start tells the whole history of the registry.
    expect(told.length).toBeGreaterThan(0);
    await first.close();

    const missed = await chain.owner.revokeKey(caller.agentId, 'key-1');
    await chain.anvil.mine(300);
    purges.length = 0;
    await using second = await open();
    await until(async () => (await savedAt(second)) > before, 'it went on');
    expect(purges.map(({ did, blockNumber }) => ({ did, blockNumber }))).toContainEqual({
      did: caller.did,
      blockNumber: missed.blockNumber,
    });
    expect(purges.filter(({ blockNumber }) => told.includes(blockNumber ?? 0))).toEqual([]);
  } finally {
    unsubscribe('sage:did.purge', keep);
  }
});
