import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { drain } from '../../../src/gateway/listener/drain.ts';
import { websocketServerOptions } from '../../../src/gateway/proxy/websocket-server.ts';
import { selfSigned } from '../../support/tls.ts';
import { openSession, openSocket, parseAnswer, type Running, startListener } from './support.ts';

const finish: (() => void)[] = [];
afterEach(() => {
  for (const end of finish.splice(0)) end();
});

async function routes(app: FastifyInstance): Promise<void> {
  await app.register(fastifyWebsocket, websocketServerOptions(1_024));
  app.get('/quick', () => ({ ok: true }));
  // Answers when the test says so.
  app.get('/slow', async () => {
    await new Promise<void>((resolve) => finish.push(resolve));
    return { ok: true };
  });
  app.get('/hijacked', async (_req, reply) => {
    reply.hijack();
    await new Promise<void>((resolve) => finish.push(resolve));
    reply.raw.writeHead(200, ['content-length', '2']);
    reply.raw.end('ok');
  });
  app.get('/stream', (_req, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, ['content-type', 'text/event-stream']);
    reply.raw.write('data: 1\n\n');
  });
  app.get('/ws', { websocket: true }, () => undefined);
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
async function ask(
  running: Running,
  path: string,
): Promise<{ first: Promise<string>; whole: Promise<string> }> {
  const socket = await openSocket(running.port);
  let text = '';
  const first = new Promise<string>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      resolve(text);
    });
  });
  const whole = once(socket, 'close').then(() => text);
  socket.write(get(path));
  return { first, whole };
}
/** Bounded: there is no event for "the server has seen a request". */
async function inFlight(running: Running, count: number): Promise<void> {
  for (let i = 0; i < 500 && running.app.connections.requestsInFlight < count; i++)
    await new Promise((resolve) => setTimeout(resolve, 2));
  expect(running.app.connections.requestsInFlight).toBe(count);
}

describe.each(['/slow', '/hijacked'])('a request in flight (%s)', (path) => {
  test('finishes, and its answer closes the connection', async () => {
    const running = await startListener(routes);
    const { whole } = await ask(running, path);
    await inFlight(running, 1);
    const order: string[] = [];
    running.app.drain.onDrain(() => order.push('readiness'));
    const done = drain(running.app, { timeoutMs: 5_000 });
    expect([order, running.app.drain.draining]).toEqual([['readiness'], true]);
    for (const end of finish.splice(0)) end();
    const answer = parseAnswer(await whole);
    expect(answer.status).toBe(200);
    expect(answer.text.toLowerCase()).toContain('connection: close');
    const report = await done;
    expect(report).toMatchObject({ finished: 1, destroyed: 0, closed: true });
    expect(report.tookMs).toBeLessThan(1_000);
  });
});

test('idle and silent connections do not hold the drain up', async () => {
  const running = await startListener(routes);
  const idle = await ask(running, '/quick');
  await idle.first;
  await openSocket(running.port);
  const half = await openSocket(running.port);
  half.write('GET / HT');
  const session = await openSession(`http://127.0.0.1:${running.port}`);
  const report = await drain(running.app, { timeoutMs: 5_000 });
  expect(report).toMatchObject({ destroyed: 0, closed: true });
  expect(report.tookMs).toBeLessThan(1_000);
  expect(session.destroyed || session.closed).toBe(true);
});

test('over TLS: silent connections, unfinished handshakes and h2 do not hold it up', async () => {
  const certificate = await selfSigned();
  const running = await startListener(routes, { tls: certificate });
  const silent = connectTls({ port: running.port, host: '127.0.0.1', ca: certificate.ca });
  silent.on('error', () => silent.destroy());
  await once(silent, 'secureConnect');
  await openSocket(running.port);
  const session = await openSession(`https://127.0.0.1:${running.port}`, certificate.ca);
  const stream = session.request({ ':path': '/slow' });
  stream.resume();
  await inFlight(running, 1);
  const goaway = once(session, 'goaway');
  const done = drain(running.app, { timeoutMs: 5_000 });
  await goaway;
  const answered = once(stream, 'response');
  for (const end of finish.splice(0)) end();
  const [head] = (await answered) as [Record<string, unknown>];
  expect(head[':status']).toBe(200);
  const report = await done;
  expect(report).toMatchObject({ finished: 1, destroyed: 0, closed: true });
  expect(report.tookMs).toBeLessThan(1_500);
});

test('a WebSocket is closed with 1001', async () => {
  const running = await startListener(routes);
  const socket = new WebSocket(`ws://127.0.0.1:${running.port}/ws`);
  await once(socket, 'open');
  const closed = once(socket, 'close');
  const report = await drain(running.app, { timeoutMs: 5_000 });
  const [code] = (await closed) as [number];
  expect(code).toBe(1001);
  expect(report).toMatchObject({ finished: 1, destroyed: 0, closed: true });
});

test('what has not finished in time is cut: requests, streams, h2 streams, deaf WebSockets', async () => {
  const running = await startListener(routes);
  const slow = await ask(running, '/slow');
  const stream = await ask(running, '/stream');
  await stream.first;
  const session = await openSession(`http://127.0.0.1:${running.port}`);
  const h2 = session.request({ ':path': '/stream' });
  h2.on('error', () => undefined);
  await once(h2, 'response');
  const deaf = new WebSocket(`ws://127.0.0.1:${running.port}/ws`);
  await once(deaf, 'open');
  deaf.pause();
  await inFlight(running, 3);
  const report = await drain(running.app, { timeoutMs: 400 });
  expect(report).toEqual({ finished: 0, destroyed: 4, tookMs: expect.any(Number) as number, closed: true });
  expect(report.tookMs).toBeGreaterThanOrEqual(390);
  expect(report.tookMs).toBeLessThan(1_000);
  expect(await slow.whole).toBe('');
  deaf.terminate();
});

test('a part of the gateway that does not close is not waited for', async () => {
  const running = await startListener((app) => {
    app.addHook('onClose', () => new Promise(() => undefined));
  });
  const report = await drain(running.app, { timeoutMs: 100 });
  expect(report.closed).toBe(false);
  expect(report.tookMs).toBeLessThan(2_000);
});

test('readiness fails before the port is closed', async () => {
  const running = await startListener(routes);
  const done = drain(running.app, { timeoutMs: 3_000, readinessDelayMs: 150 });
  expect(running.app.drain.draining).toBe(true);
  const { whole } = await ask(running, '/quick');
  const answer = parseAnswer(await whole);
  expect(answer.status).toBe(200);
  expect(answer.text.toLowerCase()).toContain('connection: close');
  expect((await done).closed).toBe(true);
});

test('a listener that fails does not keep the others from being told', async () => {
  const running = await startListener(() => undefined);
  const told: number[] = [];
  running.app.drain.onDrain(() => {
    throw new Error('broken');
  });
  running.app.drain.onDrain(() => told.push(1));
  await drain(running.app, { timeoutMs: 1_000 });
  running.app.drain.onDrain(() => told.push(2));
  expect(told).toEqual([1, 2]);
});
