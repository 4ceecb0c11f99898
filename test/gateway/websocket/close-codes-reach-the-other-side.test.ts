import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import {
  type Agent,
  closeOf,
  type Gateway,
  MAX_PAYLOAD,
  openClient,
  startAgent,
  startGateway,
} from './support.ts';

let agent: Agent;
let gateway: Gateway;
const sockets: WebSocket[] = [];
beforeAll(async () => {
  agent = await startAgent((socket) => sockets.push(socket));
  gateway = await startGateway(agent.port);
});
afterAll(async () => {
  await gateway.app.close();
  await agent.close();
});

async function pair(): Promise<{ client: WebSocket; upstream: WebSocket }> {
  const client = await openClient(gateway.port);
  const upstream = sockets.pop();
  if (upstream === undefined) throw new Error('the agent saw no connection');
  return { client, upstream };
}

const CODES: readonly (readonly [code: number, reason: string])[] = [
  [1000, ''],
  [1000, 'done'],
  [1001, 'bye'],
  [1003, ''],
  [1008, 'policy'],
  [1011, 'oops'],
  [1012, 'restart'],
  [1013, 'later'],
  [1014, 'bad gateway'],
  [3000, 'registered'],
  [4999, 'x'.repeat(123)],
];

describe.each(CODES)('%d "%s"', (code, reason) => {
  test('from the caller', async () => {
    const { client, upstream } = await pair();
    client.close(code, reason);
    expect(await closeOf(upstream)).toEqual({ code, reason });
    expect(await gateway.report()).toMatchObject({ code, reason, by: 'client' });
  });
  test('from the agent', async () => {
    const { client, upstream } = await pair();
    upstream.close(code, reason);
    expect(await closeOf(client)).toEqual({ code, reason });
    expect(await gateway.report()).toMatchObject({ code, reason, by: 'upstream' });
  });
});

describe('no code (1005) stays no code', () => {
  test('from the caller', async () => {
    const { client, upstream } = await pair();
    client.close();
    expect(await closeOf(upstream)).toEqual({ code: 1005, reason: '' });
    expect(await gateway.report()).toMatchObject({ code: 1005, by: 'client' });
  });
  test('from the agent', async () => {
    const { client, upstream } = await pair();
    upstream.close();
    expect(await closeOf(client)).toEqual({ code: 1005, reason: '' });
    await gateway.report();
  });
});

describe('a broken connection (1006) is never sent as such', () => {
  test('the caller vanishes: 1001 for the agent', async () => {
    const { client, upstream } = await pair();
    client.terminate();
    expect(await closeOf(upstream)).toEqual({ code: 1001, reason: 'the caller went away' });
    expect(await gateway.report()).toMatchObject({ code: 1006, by: 'client' });
  });
  test('the agent dies: 1011 for the caller', async () => {
    const { client, upstream } = await pair();
    upstream.terminate();
    expect(await closeOf(client)).toEqual({ code: 1011, reason: 'the agent went away' });
    expect(await gateway.report()).toMatchObject({ code: 1006, by: 'upstream' });
  });
});

describe('a message above the limit closes both sides with 1009', () => {
  test('from the caller', async () => {
    const { client, upstream } = await pair();
    let got = 0;
    upstream.on('message', () => got++);
    client.send(Buffer.alloc(MAX_PAYLOAD));
    client.send(Buffer.alloc(MAX_PAYLOAD + 1));
    const [near, far] = await Promise.all([closeOf(client), closeOf(upstream)]);
    expect([near.code, far.code, got]).toEqual([1009, 1009, 1]);
    expect(await gateway.report()).toMatchObject({ code: 1009, by: 'client', clientBytes: MAX_PAYLOAD });
  });
  test('from the agent', async () => {
    const { client, upstream } = await pair();
    upstream.send(Buffer.alloc(MAX_PAYLOAD + 1));
    const [near, far] = await Promise.all([closeOf(client), closeOf(upstream)]);
    expect([near.code, far.code]).toEqual([1009, 1009]);
    expect(await gateway.report()).toMatchObject({ by: 'upstream' });
  });
  test("an agent's own smaller limit", async () => {
    const small = await startGateway(agent.port, { maxMessageBytes: 10 });
    const client = await openClient(small.port);
    const upstream = sockets.pop() as WebSocket;
    client.send('12345678901');
    const [near, far] = await Promise.all([closeOf(client), closeOf(upstream)]);
    expect([near.code, far.code]).toEqual([1009, 1009]);
    await small.app.close();
  });
});

test('text that is no UTF-8 closes the caller and is not passed on', async () => {
  const { client, upstream } = await pair();
  let got = 0;
  upstream.on('message', () => got++);
  client.send(Buffer.from([0xff, 0xfe]), { binary: false });
  const [near, far] = await Promise.all([closeOf(client), closeOf(upstream)]);
  expect([near.code, far.code, got]).toEqual([1007, 1001, 0]);
  await gateway.report();
});

test('a revoked key closes both sides with 1008 and passes nothing more on', async () => {
  const { client, upstream } = await pair();
  let got = 0;
  upstream.on('message', () => got++);
  gateway.relays.at(-1)?.close(1008, 'key revoked');
  client.send('too late');
  const [near, far] = await Promise.all([closeOf(client), closeOf(upstream)]);
  expect([near, far.code, got]).toEqual([{ code: 1008, reason: 'key revoked' }, 1008, 0]);
  expect(await gateway.report()).toMatchObject({ code: 1008, reason: 'key revoked', by: 'gateway' });
});

test('a caller that does not answer a close is cut off in time', async () => {
  const { client } = await pair();
  // @ts-expect-error: the socket beneath, so that the close frame is never read
  (client._socket as import('node:net').Socket).pause();
  const socket = [...gateway.app.websocketServer.clients].at(-1) as WebSocket;
  gateway.relays.at(-1)?.close(1008, 'key revoked');
  const started = performance.now();
  await once(socket, 'close');
  expect(performance.now() - started).toBeLessThan(4_000);
  client.terminate();
  await gateway.report();
});
