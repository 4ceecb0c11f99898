import { once } from 'node:events';
import { request } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readTarget } from '../../../src/gateway/listener/target.ts';
import { selfSigned } from '../../support/tls.ts';
import { openSession, type Running, requestHttp2, sendRaw, startListener } from './support.ts';

function routes(app: Running['app']): void {
  app.all('/echo', (req) => {
    const target = readTarget(req.raw);
    return { ...target, id: req.id };
  });
}

describe('cleartext', () => {
  let running: Running;
  beforeAll(async () => {
    running = await startListener(routes);
  });
  afterAll(() => running.app.close());

  test('HTTP/1.1', async () => {
    const answer = await sendRaw(
      running.port,
      'GET /echo?a=%20b&c HTTP/1.1\r\nHost: LOCALhost:1\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n',
    );
    expect(answer.status).toBe(200);
    expect(answer.problem).toMatchObject({
      transport: 'http/1.1',
      method: 'GET',
      target: '/echo?a=%20b&c',
      path: '/echo',
      query: '?a=%20b&c',
      authority: 'LOCALhost:1',
      rawHeaders: ['Host', 'LOCALhost:1', 'X-A', '1', 'X-A', '2', 'Connection', 'close'],
    });
  });

  test('HTTP/2 with prior knowledge, without the pseudo-header fields', async () => {
    const session = await openSession(`http://127.0.0.1:${running.port}`);
    const answer = await requestHttp2(session, { ':path': '/echo?', 'x-a': '1' });
    session.close();
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({
      transport: 'h2',
      target: '/echo?',
      path: '/echo',
      query: '?',
      authority: `127.0.0.1:${running.port}`,
      rawHeaders: ['x-a', '1'],
    });
  });

  test('a preface that arrives byte by byte', async () => {
    const { openSocket } = await import('./support.ts');
    const socket = await openSocket(running.port);
    const bytes = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
    for (const byte of bytes) {
      await new Promise<void>((resolve) => socket.write(Buffer.of(byte), () => resolve()));
    }
    // The server's SETTINGS frame: type 4 at offset 3.
    const [frame] = (await once(socket, 'data')) as [Buffer];
    expect(frame[3]).toBe(4);
    socket.destroy();
  });

  test('a method that begins like the preface is HTTP/1.1', async () => {
    const body = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    const answer = await sendRaw(
      running.port,
      `PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    expect(answer.status).toBe(200);
    expect(answer.problem).toMatchObject({ method: 'PUT' });
  });
});

describe('TLS', () => {
  let running: Running;
  let ca: string;
  beforeAll(async () => {
    const certificate = await selfSigned();
    ca = certificate.ca;
    running = await startListener(routes, { tls: certificate });
  });
  afterAll(() => running.app.close());

  test('ALPN chooses h2', async () => {
    const session = await openSession(`https://127.0.0.1:${running.port}`, ca);
    expect(session.alpnProtocol).toBe('h2');
    const answer = await requestHttp2(session, { ':path': '/echo' });
    session.close();
    expect(JSON.parse(answer.body)).toMatchObject({ transport: 'h2', path: '/echo' });
  });

  test('HTTP/1.1 without ALPN', async () => {
    const req = request({ port: running.port, host: '127.0.0.1', path: '/echo', ca, agent: false });
    req.end();
    const [res] = (await once(req, 'response')) as [import('node:http').IncomingMessage];
    let body = '';
    for await (const chunk of res) body += String(chunk);
    expect(JSON.parse(body)).toMatchObject({ transport: 'http/1.1', path: '/echo' });
  });

  test('nothing older than TLS 1.2', async () => {
    const { connect } = await import('node:tls');
    const socket = connect({
      port: running.port,
      host: '127.0.0.1',
      ca,
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
    });
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/SSL|TLS/);
    socket.destroy();
  });

  test('cleartext on the TLS port is cut without an answer', async () => {
    const answer = await sendRaw(running.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(answer.heads).toBe(0);
  });
});
