import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { faultOf, fetcherFor, HOST, host, JSON_TYPE } from './hosts.ts';

test('one host gets 16 places of 64, strangers 12 and 48 of these, and what is beyond them fails at once', async () => {
  const held: ServerResponse[] = [];
  const all = Promise.withResolvers<void>();
  await using there = await host((_request, response) => {
    held.push(response);
    if (held.length === 64) all.resolve();
  });
  const fetcher = await fetcherFor();
  const ask = (name: string, known: boolean) =>
    fetcher.fetch({ url: there.url('/doc', `${name}.${HOST}`), mediaTypes: JSON_TYPE, known });
  const under: Promise<unknown>[] = [];
  for (const name of ['a', 'b', 'c', 'd']) {
    for (let places = 0; places < 12; places += 1) under.push(ask(name, false));
    if (name === 'a') expect(await faultOf(ask('a', false))).toBe('fetch_busy');
  }
  expect(fetcher.underWay).toBe(48);
  expect(await faultOf(ask('e', false))).toBe('fetch_busy');
  for (const name of ['a', 'b', 'c', 'd']) {
    for (let places = 0; places < 4; places += 1) under.push(ask(name, true));
    if (name === 'a') expect(await faultOf(ask('a', true))).toBe('fetch_busy');
  }
  expect(fetcher.underWay).toBe(64);
  expect(await faultOf(ask('e', true))).toBe('fetch_busy');
  await all.promise;
  for (const response of held.splice(0)) response.writeHead(404).end();
  await Promise.all(under);
  expect(fetcher.underWay).toBe(0);
});

test('closing ends what is under way, and refuses the rest', async () => {
  const arrived = Promise.withResolvers<void>();
  await using there = await host(() => arrived.resolve());
  const fetcher = await fetcherFor();
  const under = faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }));
  await arrived.promise;
  fetcher.close();
  expect(await under).toBe('fetch_closed');
  expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe('fetch_closed');
});

test('strangers make one host be asked 200 times at once and 20 times a second, known callers as often as it takes', async () => {
  let nowMs = 0;
  await using there = await host((_request, response) => void response.writeHead(404).end());
  const fetcher = await fetcherFor({ monotonicNow: () => nowMs });
  const ask = (at: number, known: boolean) =>
    fetcher.fetch({ url: there.url(`/${at}`), mediaTypes: JSON_TYPE, known });
  for (let at = 0; at < 200; at += 10) {
    await Promise.all(Array.from({ length: 10 }, (_, more) => ask(at + more, false)));
  }
  expect(await faultOf(ask(0, false))).toBe('fetch_busy');
  expect(await ask(0, true)).toEqual({ kind: 'absent' });
  nowMs = 50;
  expect(await ask(0, false)).toEqual({ kind: 'absent' });
  expect(await faultOf(ask(0, false))).toBe('fetch_busy');
});
