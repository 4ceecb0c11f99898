import { expect, test } from 'vitest';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { observe, startChain } from './fixture.ts';

test.each(['wsUrl', 'httpUrl'] as const)(
  'over %s, a node of another chain is refused by name',
  async (transport) => {
    await using chain = await startChain({ chainId: 4242 });
    const mismatch = {
      code: 'chain_mismatch',
      message: expect.stringContaining('chain 4242, configured is 31337'),
    };
    const url = chain.anvil[transport];
    await using seen = observe({ urls: [url], registries: [{ address: chain.registry }] });
    await expect(seen.watcher.ready).rejects.toMatchObject(mismatch);
    expect(seen.watcher.state()).toMatchObject({ connected: false, lastError: { code: 'chain_mismatch' } });
    expect(seen.changes).toEqual([]);

    const rpc = createRpc({ urls: [url], chainId: 31337 });
    await expect(rpc.batch([{ method: 'eth_blockNumber', params: [] }])).rejects.toMatchObject(mismatch);
    await rpc.close();
  },
);
