import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Agent, closeOf, type Gateway, openClient, startAgent, startGateway } from './support.ts';

let agent: Agent;
let gateway: Gateway;
beforeAll(async () => {
  agent = await startAgent((socket, req) => {
    if (req.url === '/greets') socket.send('hello before you spoke');
    socket.on('message', (data: Buffer, binary: boolean) => socket.send(data, { binary }));
  });
  gateway = await startGateway(agent.port);
});
afterAll(async () => {
  await gateway.app.close();
  await agent.close();
});

test('text stays text, binary stays binary, in order', async () => {
  const client = await openClient(gateway.port);
  const received: [string, boolean][] = [];
  const done = new Promise<void>((resolve) => {
    client.on('message', (data: Buffer, binary: boolean) => {
      received.push([data.toString('latin1'), binary]);
      if (received.length === 4) resolve();
    });
  });
  client.send('one');
  client.send(Buffer.from([0, 255, 1]));
  client.send('');
  client.send('z\u00fcrich');
  await done;
  expect(received).toEqual([
    ['one', false],
    ['\x00\xff\x01', true],
    ['', false],
    [Buffer.from('z\u00fcrich').toString('latin1'), false],
  ]);
  client.close(1000);
  await closeOf(client);
  expect(await gateway.report()).toEqual({
    clientBytes: 13,
    upstreamBytes: 13,
    code: 1000,
    reason: '',
    by: 'client',
  });
});

test('what the agent says before the caller is connected is not lost', async () => {
  // The greeting may arrive together with the handshake, so the listener must be there first.
  const client = new WebSocket(`ws://127.0.0.1:${gateway.port}/greets`);
  const [data] = (await once(client, 'message')) as [Buffer];
  expect(data.toString()).toBe('hello before you spoke');
  client.close();
  await gateway.report();
});

test('the agent sees path, query and fields as they were sent, and no handshake of the caller', async () => {
  const client = await openClient(gateway.port, '/a%2Fb/{x}?q=%20|^');
  const seen = agent.requests.at(-1);
  // ws itself encodes the braces before they are sent; what matters is that the gateway changes nothing more.
  expect(seen?.url).toBe('/a%2Fb/%7Bx%7D?q=%20|^');
  expect(seen?.headers.host).toBe(`127.0.0.1:${gateway.port}`);
  // The caller offered compression; the gateway speaks for itself and does not.
  expect(seen?.headers['sec-websocket-extensions']).toBeUndefined();
  expect(client.extensions).toBe('');
  client.close();
  await gateway.report();
});

test.each([
  ['the agent chooses one', 'b', 'b'],
  ['the agent chooses none', false as const, ''],
])('subprotocols: %s', async (_name, chosen, expected) => {
  const choosy = await startAgent(() => undefined, { subprotocol: chosen });
  const local = await startGateway(choosy.port);
  const client = new WebSocket(`ws://127.0.0.1:${local.port}/`, ['a', 'b']);
  client.on('error', () => undefined);
  const [res] = (await once(client, 'upgrade')) as [import('node:http').IncomingMessage];
  expect(res.headers['sec-websocket-protocol'] ?? '').toBe(expected);
  expect(choosy.requests[0]?.headers['sec-websocket-protocol']).toBe('a,b');
  client.terminate();
  await local.report();
  await local.app.close();
  await choosy.close();
});
