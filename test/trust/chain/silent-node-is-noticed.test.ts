import { once } from 'node:events';
import { expect, test } from 'vitest';
import { observe, startChain } from './fixture.ts';

test('a node that stops answering without closing its socket counts as lost, and is found again', async () => {
  await using chain = await startChain();
  const lost = new EventTarget();
  const { anvil } = chain;
  await using seen = observe({
    urls: [anvil.wsUrl],
    registries: [{ address: chain.registry }],
    heartbeatMs: 50,
    timeoutMs: 300,
    log: { info: () => undefined, warn: () => lost.dispatchEvent(new Event('warned')) },
  });
  await seen.watcher.ready;
  const warned = once(lost, 'warned');
  process.kill(anvil.pid, 'SIGSTOP');
  try {
    const stoppedAt = performance.now();
    await warned;
    expect(performance.now() - stoppedAt).toBeLessThan(3_000);
    expect(seen.watcher.state()).toMatchObject({ connected: false, lastError: { code: 'rpc_timeout' } });
  } finally {
    process.kill(anvil.pid, 'SIGCONT');
  }
  const { agentId } = await chain.owner.registerAgent();
  await seen.seen((change) => change.kind === 'registered' && change.agentId === agentId);
});
