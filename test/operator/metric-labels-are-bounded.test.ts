import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Gateway, publish, scrape, serve, startGateway } from './support.ts';

let gateway: Gateway;
beforeEach(async () => {
  gateway = await startGateway({ sources: { isAgent: (id) => id.startsWith('known-') } });
});
afterEach(() => gateway.app.close());

const seriesOf = (samples: Map<string, number>, name: string): string[] =>
  [...samples.keys()].filter((key) => key.startsWith(`${name}{`));

test('agents nobody configured share one series', async () => {
  for (let i = 0; i < 1000; i++) serve({ agentId: `made-up-${i}`, status: 404, code: 'agent_unknown' });
  serve({ agentId: '' });
  const series = seriesOf(await scrape(gateway), 'sage_request_duration_seconds_count');
  expect(series).toEqual(['sage_request_duration_seconds_count{agent="_unknown"}']);
});

test('configured agents beyond the bound share one series', async () => {
  for (let i = 0; i < 700; i++) serve({ agentId: `known-${i}` });
  const samples = await scrape(gateway);
  const series = seriesOf(samples, 'sage_request_duration_seconds_count');
  expect(series).toHaveLength(501);
  expect(samples.get('sage_request_duration_seconds_count{agent="_other"}')).toBe(200);
});

test('codes beyond the bound, and what is no code, share one series', async () => {
  for (let i = 0; i < 500; i++) serve({ status: 400, code: `code_${i}` });
  serve({ status: 400, code: 'evil"} 1\nfake_metric{x="' });
  const samples = await scrape(gateway);
  expect(seriesOf(samples, 'sage_refusals_total')).toHaveLength(201);
  expect(samples.get('sage_refusals_total{code="_other"}')).toBe(301);
  expect([...samples.keys()].some((key) => key.startsWith('fake_metric'))).toBe(false);
});

test('outcomes, chains and tiers are bounded', async () => {
  for (let i = 0; i < 100; i++) {
    publish('sage:did.resolution', { tier: `tier-${i}`, ms: 1, outcome: `outcome-${i}` });
    publish('sage:chain.head', { chainId: i, head: i, lagBlocks: 0, connected: true, ageMs: 0 });
  }
  const samples = await scrape(gateway);
  expect(seriesOf(samples, 'did_resolution_seconds_count')).toHaveLength(5);
  expect(seriesOf(samples, 'did_resolutions_total')).toHaveLength(33);
  expect(seriesOf(samples, 'sage_chain_connected')).toHaveLength(32);
});

test('no DID, path or address is ever a label', async () => {
  serve({ agentId: 'known-1', path: '/agents/known-1/very-private', address: '203.0.113.99' });
  const text = await (await gateway.ask('/metrics')).text();
  for (const secret of ['did:key', 'very-private', '203.0.113.99', 'req-1'])
    expect(text).not.toContain(secret);
});
