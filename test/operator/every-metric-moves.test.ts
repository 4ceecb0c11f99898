import { AggregatorRegistry, Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Gateway, publish, record, scrape, serve, startGateway } from './support.ts';

let gateway: Gateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.app.close());

test('a served request moves its counters and histograms', async () => {
  serve();
  serve({ transport: 'h2', attempts: 3, finishedAt: 1400 });
  const samples = await scrape(gateway);
  const agent = 'agent="weather"';
  expect(samples.get(`sage_requests_total{${agent},transport="http/1.1",outcome="delivered"}`)).toBe(1);
  expect(samples.get(`sage_requests_total{${agent},transport="h2",outcome="delivered"}`)).toBe(1);
  expect(samples.get(`sage_upstream_retries_total{${agent}}`)).toBe(2);
  expect(samples.get(`sage_bytes_total{${agent},direction="in"}`)).toBe(20);
  expect(samples.get(`sage_bytes_total{${agent},direction="out"}`)).toBe(400);
  expect(samples.get(`sage_request_duration_seconds_count{${agent}}`)).toBe(2);
  expect(samples.get(`sage_request_duration_seconds_sum{${agent}}`)).toBeCloseTo(0.412);
  expect(samples.get(`sage_request_duration_seconds_bucket{le="0.01",${agent}}`)).toBe(0);
  expect(samples.get(`sage_request_duration_seconds_bucket{le="0.025",${agent}}`)).toBe(1);
  expect(samples.get(`sage_request_duration_seconds_bucket{le="+Inf",${agent}}`)).toBe(2);
  expect(samples.get(`sage_upstream_duration_seconds_sum{${agent}}`)).toBeCloseTo(0.016);
  expect(samples.get('signature_verification_seconds_count{algorithm="ed25519"}')).toBe(2);
  expect(samples.get('sage_policy_decisions_total{effect="allow"}')).toBe(2);
});

test('each outcome has its own series', async () => {
  serve({ status: 404 });
  serve({ status: 502 });
  serve({ status: 401, code: 'nonce_replayed', caller: null, respondedAt: 0 });
  serve({ status: 503, code: 'circuit_open', respondedAt: 0 });
  serve({ status: 0, aborted: true });
  const samples = await scrape(gateway);
  for (const outcome of ['agent_4xx', 'agent_5xx', 'refused', 'failed', 'aborted']) {
    const name = `sage_requests_total{agent="weather",transport="http/1.1",outcome="${outcome}"}`;
    expect(samples.get(name), outcome).toBe(1);
  }
  expect(samples.get('sage_refusals_total{code="nonce_replayed"}')).toBe(1);
  expect(samples.get('sage_refusals_total{code="circuit_open"}')).toBe(1);
  expect(samples.get('signature_verification_seconds_count{algorithm="unknown"}')).toBe(1);
});

test('what is open is counted until it is finished', async () => {
  const socket = record({ transport: 'websocket', status: 101 });
  publish('sage:request.started', socket);
  publish('sage:request.started', record());
  let samples = await scrape(gateway);
  expect(samples.get('sage_open_websockets')).toBe(1);
  expect(samples.get('sage_inflight_requests')).toBe(1);
  publish('sage:request.finished', socket);
  publish('sage:request.finished', record());
  // One that was accepted before anybody listened must not make the gauge negative.
  publish('sage:request.finished', record());
  samples = await scrape(gateway);
  expect(samples.get('sage_open_websockets')).toBe(0);
  expect(samples.get('sage_inflight_requests')).toBe(0);
  expect(samples.get('sage_request_duration_seconds_count{agent="weather"}')).toBe(2);
});

test('resolutions are timed by tier and make the hit ratio', async () => {
  const resolutions: [tier: string, ms: number, outcome: string][] = [
    ['memory', 0, 'found'],
    ['memory', 0, 'did_not_found'],
    ['redis', 1.5, 'found'],
    ['chain', 40, 'found'],
    ['offline', 0.1, 'found'],
  ];
  for (const [tier, ms, outcome] of resolutions) publish('sage:did.resolution', { tier, ms, outcome });
  publish('sage:fetch', { outcome: 'fetch_timeout' });
  publish('sage:did.purge', { did: null, reason: 'chain', blockNumber: 7 });
  publish('sage:did.read_ahead', { reason: 'warm_up', outcome: 'kept' });
  const samples = await scrape(gateway);
  expect(samples.get('did_cache_hit_ratio')).toBe(0.75);
  expect(samples.get('did_cache_hits_total{tier="memory"}')).toBe(2);
  expect(samples.get('did_cache_hits_total{tier="redis"}')).toBe(1);
  expect(samples.get('did_cache_misses_total')).toBe(1);
  expect(samples.get('did_cache_purges_total')).toBe(1);
  expect(samples.get('did_read_ahead_total{reason="warm_up",outcome="kept"}')).toBe(1);
  expect(samples.get('sage_document_fetches_total{outcome="fetch_timeout"}')).toBe(1);
  expect(samples.get('did_resolutions_total{outcome="found"}')).toBe(4);
  expect(samples.get('did_resolution_seconds_sum{tier="chain"}')).toBeCloseTo(0.04);
  expect(samples.get('did_resolution_seconds_count{tier="offline"}')).toBe(1);
});

test('policy, circuits, chain, nonces and Redis show their state', async () => {
  publish('sage:policy.reloaded', { revision: 'one', rules: 3 });
  publish('sage:policy.reloaded', { revision: 'two', rules: 5 });
  publish('sage:policy.refused', { fault: 'line 3' });
  publish('sage:circuit', { agentId: 'weather', instance: 'http://127.0.0.1:9100', state: 'open' });
  publish('sage:store.call', { operation: 'agents', ms: 4, failure: '' });
  publish('sage:store.call', { operation: 'agents', ms: 4, failure: 'busy' });
  publish('sage:store.call', { operation: 'agents', ms: 4, failure: 'missing' });
  publish('sage:chain.head', { chainId: 31337, head: 120, lagBlocks: 2, connected: true, ageMs: 1_500 });
  publish('sage:rpc.disagreement', { chainId: 31337, node: 'http://a', blockNumber: 1, why: 'x' });
  const samples = await scrape(gateway);
  expect(samples.get('sage_policy_info{revision="two"}')).toBe(1);
  expect(samples.has('sage_policy_info{revision="one"}')).toBe(false);
  expect(samples.get('sage_policy_rules')).toBe(5);
  expect(samples.get('sage_policy_reloads_total{outcome="applied"}')).toBe(2);
  expect(samples.get('sage_policy_reloads_total{outcome="refused"}')).toBe(1);
  expect(samples.get('sage_circuit_state{agent="weather",instance="http://127.0.0.1:9100"}')).toBe(2);
  expect(samples.get('sage_circuit_state{agent="weather",instance="http://127.0.0.1:9101"}')).toBe(0);
  expect(samples.get('sage_circuit_transitions_total{state="open"}')).toBe(1);
  expect(samples.get('sage_chain_head{chain="31337"}')).toBe(120);
  expect(samples.get('sage_chain_head_lag_blocks{chain="31337"}')).toBe(2);
  expect(samples.get('sage_chain_head_age_seconds{chain="31337"}')).toBe(1.5);
  expect(samples.get('sage_chain_connected{chain="31337"}')).toBe(1);
  expect(samples.get('sage_rpc_disagreements_total{chain="31337"}')).toBe(1);
  expect(samples.get('sage_nonce_table_entries')).toBe(3);
  expect(samples.get('sage_nonce_table_capacity')).toBe(64);
  expect(samples.get('sage_redis_connected')).toBe(1);
  expect(samples.get('sage_database_up')).toBe(1);
  expect(samples.get('sage_database_writable')).toBe(0);
  expect(samples.get('sage_database_waiting')).toBe(3);
  expect(samples.get('sage_database_connections_in_use')).toBe(2);
  expect(samples.get('sage_database_connections_max')).toBe(10);
  expect(samples.get('sage_database_shed_total')).toBe(7);
  expect(samples.get('sage_database_failures_total{failure="busy"}')).toBe(1);
  expect(samples.get('sage_database_statement_seconds_count{operation="agents"}')).toBe(3);
  expect(samples.has('nodejs_eventloop_lag_p99_seconds')).toBe(true);
  expect(samples.has('process_resident_memory_bytes')).toBe(true);
});

test('parts that are not there are absent, not zero', async () => {
  const bare = await startGateway({
    sources: { nonceTable: () => null, redisConnected: () => null, database: () => null },
  });
  const samples = await scrape(bare);
  expect(samples.has('sage_nonce_table_entries')).toBe(false);
  expect(samples.has('sage_redis_connected')).toBe(false);
  expect(samples.has('sage_database_up')).toBe(false);
  await bare.app.close();
});

test('registries of several threads add up', async () => {
  serve();
  const once = await gateway.metrics.registry.getMetricsAsJSON();
  const both = AggregatorRegistry.aggregate([once, once]);
  const text = await both.metrics();
  expect(both).toBeInstanceOf(Registry);
  expect(text).toContain('sage_request_duration_seconds_count{agent="weather"} 2');
  expect(text).toContain('sage_requests_total{agent="weather",transport="http/1.1",outcome="delivered"} 2');
});

test('closing the server ends the subscriptions', async () => {
  const other = await startGateway();
  await other.app.close();
  serve();
  expect(await other.metrics.text()).not.toContain('sage_requests_total{');
});
