import { expect, test } from 'vitest';
import { closedPort, faultOf, fetcherFor, HOST, host, JSON_TYPE } from './hosts.ts';

test('a host that cannot be reached is asked three times, then once after each pause', async () => {
  let nowMs = 0;
  let lookups = 0;
  const lookup = async () => {
    lookups += 1;
    return ['127.0.0.1'];
  };
  const fetcher = await fetcherFor({ monotonicNow: () => nowMs, lookup });
  const url = new URL(`https://${HOST}:${await closedPort()}/doc`);
  const ask = (): Promise<string> => faultOf(fetcher.fetch({ url, mediaTypes: JSON_TYPE }));
  for (let times = 0; times < 3; times += 1) expect(await ask()).toBe('fetch_unreachable');
  expect(await ask()).toBe('fetch_circuit_open');
  expect(lookups).toBe(3);
  // Another document of the host is left alone as well.
  expect(await faultOf(fetcher.fetch({ url: new URL('/other', url), mediaTypes: JSON_TYPE }))).toBe(
    'fetch_circuit_open',
  );
  nowMs = 2_000;
  const [probe, beside] = await Promise.all([ask(), ask()]);
  expect([probe, beside]).toEqual(['fetch_unreachable', 'fetch_circuit_open']);
  nowMs = 5_999;
  expect(await ask()).toBe('fetch_circuit_open');
  nowMs = 6_000;
  expect(await ask()).toBe('fetch_unreachable');
});

test('a host that is back is asked as before', async () => {
  let nowMs = 0;
  let reachable = false;
  await using there = await host((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  const lookup = async () => {
    if (!reachable) throw new Error('SERVFAIL');
    return ['127.0.0.1'];
  };
  const fetcher = await fetcherFor({ monotonicNow: () => nowMs, lookup });
  const ask = () => fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE });
  for (let times = 0; times < 3; times += 1) expect(await faultOf(ask())).toBe('fetch_name_unresolved');
  reachable = true;
  expect(await faultOf(ask())).toBe('fetch_circuit_open');
  nowMs = 2_000;
  expect(await ask()).toMatchObject({ kind: 'body' });
  const answers = await Promise.all([ask(), ask(), ask()]);
  expect(answers.map(({ kind }) => kind)).toEqual(['body', 'body', 'body']);
});

test('one who answers errors behind a host name does not shut out his neighbours', async () => {
  await using there = await host((request, response) => {
    const status = request.url === '/bad' ? 500 : 200;
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
  });
  const fetcher = await fetcherFor({ monotonicNow: () => 0 });
  const ask = (path: string) => fetcher.fetch({ url: there.url(path), mediaTypes: JSON_TYPE });
  for (let times = 0; times < 3; times += 1) expect(await faultOf(ask('/bad'))).toBe('fetch_status');
  expect(await faultOf(ask('/bad'))).toBe('fetch_circuit_open');
  expect(await ask('/good')).toMatchObject({ kind: 'body' });
});

test('absence is an answer, and opens no circuit', async () => {
  await using there = await host((_request, response) => void response.writeHead(404).end());
  const fetcher = await fetcherFor({ monotonicNow: () => 0 });
  for (let times = 0; times < 5; times += 1) {
    expect(await fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE })).toEqual({ kind: 'absent' });
  }
});
