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

const MAX_BUFFERED = 262_144;
/** One message that crosses the mark, and what ws had parsed of one chunk when it was paused. */
const SLACK = 4 * MAX_PAYLOAD;

let agent: Agent;
let gateway: Gateway;
const sockets: WebSocket[] = [];
beforeAll(async () => {
  agent = await startAgent((socket) => sockets.push(socket));
  gateway = await startGateway(agent.port, { maxBufferedBytes: MAX_BUFFERED });
});
afterAll(async () => {
  await gateway.app.close();
  await agent.close();
});

function beneath(socket: WebSocket): import('node:net').Socket {
  // @ts-expect-error: the socket beneath, to stop reading as a stuck process does
  return socket._socket as import('node:net').Socket;
}

/** Sends until the writer itself is held back: everything on the way is full. */
async function fill(writer: WebSocket, peak: () => void): Promise<number> {
  const message = Buffer.alloc(MAX_PAYLOAD - 1);
  let sent = 0;
  for (let i = 0; i < 2_000 && writer.bufferedAmount < 8 * MAX_PAYLOAD; i++) {
    writer.send(message);
    sent++;
    await new Promise((resolve) => setImmediate(resolve));
    peak();
  }
  return sent;
}

describe.each(['caller', 'agent'])('the %s does not read', (who) => {
  test('the writer is held back, the gateway holds no more than its bound, and everything arrives', async () => {
    const client = await openClient(gateway.port);
    const upstream = sockets.pop() as WebSocket;
    const near = [...gateway.app.websocketServer.clients].at(-1) as WebSocket;
    const [reader, writer] = who === 'caller' ? [client, upstream] : [upstream, client];
    beneath(reader).pause();
    let worst = 0;
    const sent = await fill(writer, () => {
      // Towards the caller it is the gateway's own socket that buffers; towards the agent it cannot be seen from here.
      if (who === 'caller') worst = Math.max(worst, near.bufferedAmount);
    });
    expect(writer.bufferedAmount).toBeGreaterThanOrEqual(8 * MAX_PAYLOAD);
    expect(worst).toBeLessThan(MAX_BUFFERED + SLACK);
    let got = 0;
    const all = new Promise<void>((resolve) => {
      reader.on('message', () => {
        if (++got === sent) resolve();
      });
    });
    beneath(reader).resume();
    await all;
    client.close(1000);
    await closeOf(client);
    await gateway.report();
  });
});

test('a side that is silent from one ping to the next is gone', async () => {
  const impatient = await startGateway(agent.port, { pingIntervalMs: 60 });
  const client = await openClient(impatient.port);
  const upstream = sockets.pop() as WebSocket;
  // Answers pings, and so stays longer than two intervals.
  for (let i = 0; i < 4; i++) await once(client, 'ping');
  beneath(client).pause();
  expect(await closeOf(upstream)).toEqual({ code: 1001, reason: 'the caller went away' });
  expect(await impatient.report()).toMatchObject({ code: 1006, by: 'client' });
  client.terminate();
  await impatient.app.close();
});

test('an agent that is silent is gone for the caller', async () => {
  const impatient = await startGateway(agent.port, { pingIntervalMs: 60 });
  const client = await openClient(impatient.port);
  const upstream = sockets.pop() as WebSocket;
  beneath(upstream).pause();
  expect(await closeOf(client)).toEqual({ code: 1011, reason: 'the agent went away' });
  upstream.terminate();
  await impatient.app.close();
});

test('a conversation without messages ends when it is to', async () => {
  const idle = await startGateway(agent.port, { pingIntervalMs: 50, idleTimeoutMs: 100 });
  const client = await openClient(idle.port);
  expect(await closeOf(client)).toEqual({ code: 1001, reason: 'idle' });
  expect(await idle.report()).toMatchObject({ by: 'gateway' });
  await idle.app.close();
});
