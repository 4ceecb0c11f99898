import http2 from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import { closeAll, closing, deadUpstream, gatewayTo } from './upstreams.ts';

afterEach(closeAll);

test('five thousand refused connections in bursts: as many clean answers, and nothing left open', async () => {
  const gateway = await gatewayTo([await deadUpstream(), await deadUpstream()], {
    retries: 1,
    http2: true,
    circuit: { requestsMin: 1_000_000 },
  });
  const session = http2.connect(gateway.url);
  closing(() => session.destroy());
  const call = (path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': path });
      let status = 0;
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.on('error', reject);
      stream.on('end', () => resolve(status));
      stream.resume();
    });
  const statuses = new Map<number, number>();
  for (let burst = 0; burst < 5; burst++) {
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => call(`/agents/echo/${index}`)),
    );
    for (const status of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  expect([...statuses]).toEqual([[502, 5_000]]);
  expect(gateway.app.exchanges.size).toBe(0);
  for (const instance of gateway.app.agents.get('echo')?.instances ?? [])
    expect(instance.pool.inFlight).toBe(0);
});
