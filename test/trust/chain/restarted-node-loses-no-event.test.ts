import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openRegistryWriter } from '../../../src/trust/chain/registry.ts';
import { startAnvil } from '../../support/anvil.ts';
import { observe, someKey, startChain } from './fixture.ts';

test('what happened while the node was away, and right after it came back, is reported', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sage-chain-'));
  const stateFile = join(folder, 'state.json');
  const chain = await startChain({ stateFile });
  const { port } = chain.anvil;
  const { agentId } = await chain.owner.registerAgent({ keys: { main: someKey(), spare: someKey() } });
  await chain.anvil.mine(3);
  await using seen = observe({
    urls: [chain.anvil.wsUrl],
    registries: [{ address: chain.registry }],
    // It must come back by itself, however late: 5 s is the longest it ever waits.
    random: () => 0.99,
  });
  await seen.watcher.ready;
  await chain[Symbol.asyncDispose]();

  // Mined on another port, so that the watcher cannot see it happen.
  const away = await startAnvil({ stateFile });
  const account = {
    chainId: 31337,
    privateKey: away.accounts[0]?.privateKey ?? '',
    registry: chain.registry,
  };
  const unseen = openRegistryWriter({ ...account, rpcUrl: away.httpUrl });
  const first = await unseen.revokeKey(agentId, 'main');
  unseen.close();
  await away.stop();
  expect(seen.watcher.state()).toMatchObject({ connected: false, lastError: { code: 'rpc_unreachable' } });

  const back = await startAnvil({ stateFile, port });
  const writer = openRegistryWriter({ ...account, rpcUrl: back.httpUrl });
  const second = await writer.revokeKey(agentId, 'spare');
  for (const [fragment, { blockHash }] of [
    ['main', first],
    ['spare', second],
  ] as const) {
    const change = await seen.seen(
      (one) => one.kind === 'key' && one.fragment === fragment && one.blockHash === blockHash,
    );
    expect(change).toMatchObject({ agentId });
  }
  await back.mine();
  await seen.followed(second.blockNumber + 1);
  expect(seen.watcher.state().connected).toBe(true);
  expect(seen.changes.filter((change) => change.kind === 'reset')).toHaveLength(1);
  writer.close();
  await back.stop();
  rmSync(folder, { recursive: true });
});

test.each([
  ['resets the registry where chains may begin anew', true],
  ['vouches for nothing where they may not', false],
])('a node that crashed and came back with an older chain %s', async (_what, mayBeginAnew) => {
  const chain = await startChain();
  await chain.anvil.mine(5);
  await using seen = observe({
    urls: [chain.anvil.wsUrl],
    registries: [{ address: chain.registry, fromBlock: 0 }],
    mayBeginAnew,
    random: () => 0,
  });
  await seen.watcher.ready;
  chain.owner.close();
  await chain.anvil.kill();
  const back = await startAnvil({ port: chain.anvil.port });
  if (mayBeginAnew) {
    await seen.seen((change) => change.kind === 'reset');
    await back.mine();
    await seen.followed(1);
  } else {
    const stale = () => seen.warnings.filter((line) => line.includes('is behind a block')).length;
    await expect.poll(stale, { interval: 10, timeout: 10_000 }).toBeGreaterThan(1);
    expect(seen.changes.filter((change) => change.kind === 'reset')).toEqual([]);
  }
  await back.stop();
});
