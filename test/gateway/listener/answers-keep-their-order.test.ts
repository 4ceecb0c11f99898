import { once } from 'node:events';
import fastifyWebsocket from '@fastify/websocket';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { websocketServerOptions } from '../../../src/gateway/proxy/websocket-server.ts';
import { openSocket, type Running, sendRaw, startListener } from './support.ts';

const HOST = 'Host: a.example\r\n';
const UPGRADE =
  `GET /ws HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
const TUNNEL = `CONNECT b.example:1 HTTP/1.1\r\n${HOST}\r\n`;

let running: Running;
let answer: PromiseWithResolvers<void>;
let served: string[] = [];
beforeAll(async () => {
  running = await startListener(async (app) => {
    await app.register(fastifyWebsocket, websocketServerOptions(1_024));
    app.get('/slow', async () => {
      await answer.promise;
      return 'slow';
    });
    app.get('/begun', (_request, reply) => {
      reply.hijack();
      reply.raw.writeHead(200, { 'content-length': 5 }).write('be');
      void answer.promise.then(() => reply.raw.end('gun'));
    });
    app.route({
      method: 'GET',
      url: '/ws',
      handler: async () => 'not upgraded',
      wsHandler: (socket) => socket.close(),
    });
    app.all('/*', async (request) => {
      served.push(request.url);
      return 'other';
    });
  });
});
beforeEach(() => {
  answer = Promise.withResolvers();
  served = [];
});
afterAll(() => running.app.close());

/** What comes back for `first` and, in the same packet, `behind`. */
async function pipelined(first: string, behind: string, until: string): Promise<string> {
  const socket = await openSocket(running.port);
  let text = '';
  const enough = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.includes(until)) resolve();
    });
    socket.once('close', () => resolve());
  });
  socket.write(`GET ${first} HTTP/1.1\r\n${HOST}\r\n${behind}`);
  // Of another connection, and later: what was written before it has been read by then.
  await sendRaw(running.port, `GET /x HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
  answer.resolve();
  await enough;
  socket.destroy();
  return text;
}

test.each(['/slow', '/begun'])('an upgrade does not overtake the answer of %s', async (first) => {
  const text = await pipelined(first, UPGRADE, 'not upgraded');
  expect(text).toMatch(/^HTTP\/1\.1 200 /);
  expect(text.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']);
});

test.each(['/slow', '/begun'])('nor does the refusal of a tunnel that of %s', async (first) => {
  const text = await pipelined(first, TUNNEL, '405');
  expect(text).not.toContain('405');
});

test('a tunnel behind an answer that has been read is refused', async () => {
  const socket = await openSocket(running.port);
  socket.write(`GET /x HTTP/1.1\r\n${HOST}\r\n`);
  await once(socket, 'data');
  socket.write(TUNNEL);
  const [refusal] = (await once(socket, 'data')) as [Buffer];
  expect(refusal.toString('latin1')).toMatch(/^HTTP\/1\.1 405 /);
  await once(socket, 'close');
});

test.each([
  ['with a length', 'Content-Length: 3\r\n\r\nabc'],
  ['without one that is known', 'Transfer-Encoding: xchunked\r\n\r\n'],
])('nothing behind an unknown expectation of a body %s is served', async (_name, rest) => {
  const refused = `POST / HTTP/1.1\r\n${HOST}Expect: a\r\n${rest}`;
  const answered = await sendRaw(running.port, `${refused}GET /smuggled HTTP/1.1\r\n${HOST}\r\n`);
  expect([answered.status, answered.heads]).toEqual([417, 1]);
  expect(served).toEqual([]);
});

describe('requests that wait for an answer', () => {
  const SLOW = `GET /slow HTTP/1.1\r\n${HOST}\r\n`;

  test('are 128 of one connection, all answered', async () => {
    const socket = await openSocket(running.port);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.write(SLOW.repeat(128));
    await expect.poll(() => running.app.connections.requestsInFlight, { interval: 5 }).toBe(128);
    answer.resolve();
    await expect.poll(() => text.match(/HTTP\/1\.1 200/g)?.length, { interval: 5 }).toBe(128);
    // What has been answered does not count.
    socket.write(SLOW.repeat(128));
    await expect.poll(() => text.match(/HTTP\/1\.1 200/g)?.length, { interval: 5 }).toBe(256);
    socket.destroy();
  });

  test('and with one more none of them is', async () => {
    const answered = await sendRaw(running.port, SLOW.repeat(129));
    expect(answered.text).toBe('');
    await expect.poll(() => running.app.connections.requestsInFlight, { interval: 5 }).toBe(0);
  });
});
