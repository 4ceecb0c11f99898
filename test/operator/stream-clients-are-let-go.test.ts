import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { Principal } from '../../src/operator/access/principal.ts';
import { openClients, type StreamClients } from '../../src/operator/stream/clients.ts';
import { type Feed, openFeed } from '../../src/operator/stream/feed.ts';
import type { StreamCounts } from '../../src/operator/stream/stream-metrics.ts';
import { until } from '../support/gateway.ts';
import { publish } from './support.ts';

let server: WebSocketServer;
let feed: Feed;
let clients: StreamClients;
let counts: StreamCounts;
let valid: boolean;

const principal: Principal = {
  actor: 'key:test',
  method: 'api_key',
  role: 'viewer',
  scopes: new Set(['stream:read']),
  expiresAtMs: Number.POSITIVE_INFINITY,
  stands: () => valid,
};

beforeEach(async () => {
  valid = true;
  counts = { clients: 0, closed: { slow: 0, credential: 0, shutdown: 0, silent: 0 } };
  feed = openFeed({
    node: 'test',
    scrub: (text) => text,
    reasonOf: () => '',
    onError: (_name, error) => {
      throw error;
    },
    now: Date.now,
    monotonicNow: () => performance.now(),
    random: Math.random,
  });
  clients = openClients({ feed, counts, now: Date.now, pingEveryMs: 40, checkEveryMs: 5 });
  server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', (socket) => clients.add(socket, { principal, cursor: null, types: null }));
  await once(server, 'listening');
});
afterEach(async () => {
  clients.close();
  feed.close();
  server.close();
  await once(server, 'close');
});

async function connect(autoPong = true): Promise<WebSocket> {
  const { port } = server.address() as AddressInfo;
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { autoPong });
  await once(socket, 'open');
  return socket;
}

test('one whose credential no longer stands is closed with 1008', async () => {
  const socket = await connect();
  const closed = once(socket, 'close');
  publish('sage:unblock', { address: '192.0.2.1' });
  await once(socket, 'message');
  valid = false;
  const [code] = await closed;
  expect(code).toBe(1008);
  expect(counts.closed.credential).toBe(1);
});

test('one that answers no ping is cut, one that does is kept', async () => {
  const quiet = await connect(false);
  const well = await connect();
  const [code] = await once(quiet, 'close');
  expect(code).toBe(1006);
  await until(() => counts.clients === 1, 'the server knows, too');
  expect(counts.closed.silent).toBe(1);
  publish('sage:unblock', { address: '192.0.2.1' });
  const [data] = await once(well, 'message');
  expect(JSON.parse(String(data)).id).toBe('test-1');
  const gone = once(well, 'close');
  well.close();
  await gone;
});

test('when the stream closes, each is told, and nobody else is taken', async () => {
  const socket = await connect();
  const closed = once(socket, 'close');
  expect(clients.open).toBe(true);
  clients.close();
  expect(clients.open).toBe(false);
  expect((await closed)[0]).toBe(1001);
});
