import type { IncomingHttpHeaders } from 'node:http';
import { expect, test } from 'vitest';
import { parseJsonObject } from '../../../src/trust/fetch/json.ts';
import { fetcherFor, host, JSON_TYPE } from './hosts.ts';

test('a document comes with its entity tag and the age its host allows', async () => {
  let asked: IncomingHttpHeaders = {};
  await using there = await host((request, response) => {
    asked = request.headers;
    response.writeHead(200, {
      'content-type': 'application/json; charset=UTF-8',
      etag: '"v1"',
      'cache-control': 'public, max-age=30',
      age: '10',
    });
    response.end('{"id":"x"}');
  });
  const fetched = await (await fetcherFor()).fetch({ url: there.url(), mediaTypes: JSON_TYPE });
  if (fetched.kind !== 'body') throw new Error(fetched.kind);
  expect(parseJsonObject(fetched.bytes)).toEqual({ id: 'x' });
  expect(fetched).toMatchObject({ etag: '"v1"', maxAgeMs: 20_000 });
  expect(asked).toMatchObject({ accept: 'application/json', 'accept-encoding': 'identity' });
  expect(asked['if-none-match']).toBeUndefined();
});

test('a document that is held is only asked about', async () => {
  let asked: string | undefined;
  await using there = await host((request, response) => {
    asked = request.headers['if-none-match'];
    response.writeHead(304, { etag: '"v1"' }).end();
  });
  const fetcher = await fetcherFor();
  const fetched = await fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE, etag: '"v1"' });
  expect(fetched).toEqual({ kind: 'unchanged', maxAgeMs: null });
  expect(asked).toBe('"v1"');
});

test.each([404, 410])('%i says that there is nothing, whatever stands beside it', async (status) => {
  await using there = await host((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end('{"id":"forged"}');
  });
  const fetched = await (await fetcherFor()).fetch({ url: there.url(), mediaTypes: JSON_TYPE });
  expect(fetched).toEqual({ kind: 'absent' });
});

test('an entity tag that could not be sent back is not kept', async () => {
  await using there = await host((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', etag: `"${'x'.repeat(300)}"` });
    response.end('{}');
  });
  const fetched = await (await fetcherFor()).fetch({ url: there.url(), mediaTypes: JSON_TYPE });
  expect(fetched).toMatchObject({ kind: 'body', etag: null });
});

test('a connection serves one document and is closed', async () => {
  let closed: () => void = () => undefined;
  const gone = new Promise<void>((resolve) => {
    closed = resolve;
  });
  await using there = await host((request, response) => {
    request.socket.on('close', closed);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  const fetcher = await fetcherFor();
  await fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE });
  await gone;
  expect(fetcher.underWay).toBe(0);
});
