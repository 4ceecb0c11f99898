import { expect, test } from 'vitest';
import { observe, someKey, startChain } from './fixture.ts';

test('over a WebSocket: registration, key, revocation and sale are reported as their block comes', async () => {
  await using chain = await startChain();
  const { registry, owner } = chain;
  await using seen = observe({ urls: [chain.anvil.wsUrl], registries: [{ address: registry }] });
  await seen.watcher.ready;
  expect(seen.watcher.state()).toMatchObject({ connected: true, lagBlocks: 0, lastError: undefined });

  const { agentId, ...born } = await owner.registerAgent();
  expect(await seen.seen((change) => change.kind === 'registered')).toMatchObject({
    registry,
    agentId,
    blockNumber: born.blockNumber,
    blockHash: born.blockHash,
  });
  const set = await owner.setKey(agentId, 'main', someKey());
  const key = { registry, agentId, kind: 'key', fragment: 'main', blockHash: set.blockHash };
  expect(await seen.seen((change) => change.kind === 'key')).toEqual({
    ...key,
    safe: false,
    blockNumber: set.blockNumber,
  });
  await owner.setMetadata(agentId, 'agentName', Buffer.from('weather'));
  expect(await seen.seen((change) => change.kind === 'key' && change.safe)).toMatchObject({
    ...key,
    safe: true,
  });

  const revoked = await owner.revokeKey(agentId, 'main');
  await seen.seen((change) => change.blockNumber === revoked.blockNumber);
  const sold = await owner.transferAgent(agentId, chain.writer(1).account);
  await seen.seen((change) => change.kind === 'transfer' && change.blockNumber === sold.blockNumber);
  await seen.followed(sold.blockNumber);
  await chain.anvil.mine(2);
  await seen.followed(sold.blockNumber + 2);
  // Each once: what the subscription told is not told again when its block is followed, nor is other metadata.
  const told = seen.changes.filter((change) => change.kind !== 'reset').map((change) => change.kind);
  expect(told).toEqual(['transfer', 'registered', 'key', 'key', 'key', 'transfer']);
});

test('from the order to mine a block to the report of its change takes milliseconds', async () => {
  await using chain = await startChain();
  const { owner, anvil } = chain;
  const { agentId } = await owner.registerAgent({ keys: { main: someKey() } });
  const reportedAt = new Map<number, number>();
  await using seen = observe({
    urls: [anvil.wsUrl],
    registries: [{ address: chain.registry }],
    onChanged: (change) => reportedAt.set(change.blockNumber, performance.now()),
  });
  await seen.watcher.ready;
  await anvil.call('evm_setAutomine', false);
  const latencies: number[] = [];
  const mining: number[] = [];
  for (let i = 0; i < 20; i++) {
    const sent = owner.revokeKey(agentId, `k${i}`);
    while (((await anvil.call('txpool_status')) as { pending: string }).pending === '0x0');
    const before = performance.now();
    await anvil.mine();
    mining.push(performance.now() - before);
    const { blockNumber } = await sent;
    await seen.seen((change) => change.blockNumber === blockNumber);
    latencies.push((reportedAt.get(blockNumber) as number) - before);
  }
  const median = (figures: number[]): number => figures.sort((a, b) => a - b)[10] as number;
  const [reported, mined] = [median(latencies), median(mining)];
  console.log(
    `[*] change reported ${reported.toFixed(1)} ms after the order to mine (p95 ${(latencies[18] as number).toFixed(1)}); the node answers that order after ${mined.toFixed(1)} ms`,
  );
  expect(reported).toBeLessThan(100);
});
