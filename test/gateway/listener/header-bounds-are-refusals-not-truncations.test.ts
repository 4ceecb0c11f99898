import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { selfSigned } from '../../support/tls.ts';
import {
  MAX_HEADER_BYTES,
  openSession,
  openSocket,
  parseAnswer,
  type Running,
  requestHttp2,
  sendRaw,
  startListener,
} from './support.ts';

const COUNT = 100;
let clear: Running;
let secure: Running;
let ca: string;
beforeAll(async () => {
  const certificate = await selfSigned();
  ca = certificate.ca;
  const routes = (app: Running['app']): void => {
    app.get('/', (req) => ({ fields: req.raw.rawHeaders.length / 2 }));
  };
  clear = await startListener(routes, { headersTimeoutMs: 300 });
  secure = await startListener(routes, { tls: certificate, headersTimeoutMs: 300 });
});
afterAll(() => Promise.all([clear.app.close(), secure.app.close()]));

function head(fields: number): string {
  return `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${'x: y\r\n'.repeat(fields - 2)}\r\n`;
}
function fields(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, 'y']));
}

describe('HTTP/1.1', () => {
  test('as many fields as allowed are served, all of them', async () => {
    const answer = await sendRaw(clear.port, head(COUNT));
    expect(answer.status).toBe(200);
    expect(answer.problem).toEqual({ fields: COUNT });
  });
  test.each([COUNT + 1, COUNT + 2, 5 * COUNT])('%d fields are refused', async (count) => {
    const answer = await sendRaw(clear.port, head(count));
    expect([answer.status, answer.problem.code]).toEqual([431, 'header_fields_too_large']);
  });
  test('too many bytes are refused', async () => {
    const answer = await sendRaw(
      clear.port,
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(MAX_HEADER_BYTES)}\r\n\r\n`,
    );
    expect([answer.status, answer.problem.code, answer.problem.request_id]).toEqual([
      431,
      'header_fields_too_large',
      expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/),
    ]);
  });
  test('a head that dawdles gets 408, and the connection ends', async () => {
    const answer = await sendRaw(clear.port, 'GET / HTTP/1.1\r\nHost: a\r\n');
    expect([answer.status, answer.problem.code]).toEqual([408, 'request_timeout']);
  });
  test('a head that drips is not given more time for each byte', async () => {
    const socket = await openSocket(clear.port);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nX: ');
    const drip = setInterval(() => socket.write('a'), 20);
    const started = performance.now();
    await once(socket, 'close');
    clearInterval(drip);
    expect(performance.now() - started).toBeLessThan(3_000);
    expect(parseAnswer(text).status).toBe(408);
  });
  test('a chunk extension without end is refused', async () => {
    const answer = await sendRaw(
      clear.port,
      `GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;${'a'.repeat(20_000)}\r\na\r\n0\r\n\r\n`,
    );
    expect(answer.heads).toBeLessThanOrEqual(1);
  });
});

describe('cleartext preface', () => {
  test('a connection that says nothing is closed without an answer', async () => {
    const answer = await sendRaw(clear.port, '');
    expect(answer.heads).toBe(0);
  });
  test('a preface that is never completed is closed in time', async () => {
    const answer = await sendRaw(clear.port, 'PRI * HTTP/2.0\r\n\r\nSM');
    expect(answer.status).toBe(408);
  });
  test('an HTTP/2 session that never sends SETTINGS is closed', async () => {
    const idle = await startListener(() => undefined, { keepAliveTimeoutMs: 200 });
    const socket = await openSocket(idle.port);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
    await idle.app.close();
  });
});

describe.each(['h2c', 'h2 over TLS'])('%s', (over) => {
  const open = (): ReturnType<typeof openSession> =>
    over === 'h2c'
      ? openSession(`http://127.0.0.1:${clear.port}`)
      : openSession(`https://127.0.0.1:${secure.port}`, ca);

  test('as many fields as allowed are served', async () => {
    const session = await open();
    const answer = await requestHttp2(session, fields(COUNT));
    session.destroy();
    expect(answer.status).toBe(200);
  });
  test('one more is refused with 431', async () => {
    const session = await open();
    const answer = await requestHttp2(session, fields(COUNT + 1));
    session.destroy();
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([431, 'header_fields_too_large']);
  });
  test('far more are cut off by the protocol', async () => {
    const session = await open();
    const answer = await requestHttp2(session, fields(3 * COUNT));
    session.destroy();
    expect(answer.status).toBe(0);
    expect(answer.rst).toBe(11);
  });
  test('too many bytes are refused with 431', async () => {
    const session = await open();
    const answer = await requestHttp2(session, { x: 'a'.repeat(MAX_HEADER_BYTES + 1) });
    session.destroy();
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([431, 'header_fields_too_large']);
  });
});

describe('floods over HTTP/2', () => {
  test('a header block without end ends the session', async () => {
    const accepted = once(clear.app.server, 'connection') as Promise<[Socket]>;
    const socket = await openSocket(clear.port);
    const [served] = await accepted;
    socket.resume();
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Buffer.from('000000040000000000', 'hex'));
    const closed = once(socket, 'close');
    // HEADERS on stream 1 without END_HEADERS, then CONTINUATION frames of one literal field each.
    const frame = (type: number): Buffer => {
      const field = Buffer.concat([
        Buffer.from([0x00, 1]),
        Buffer.from('x'),
        Buffer.from([0x7f, 0x81, 0x7d]),
      ]);
      const payload = Buffer.concat([field, Buffer.alloc(16_128, 'a')]);
      const head = Buffer.alloc(9);
      head.writeUIntBE(payload.length, 0, 3);
      head[3] = type;
      head[8] = 1;
      return Buffer.concat([head, payload]);
    };
    socket.write(frame(1));
    for (let i = 0; i < 200 && !socket.destroyed; i++) {
      await new Promise<void>((resolve) => socket.write(frame(9), () => resolve()));
    }
    await closed;
    // nghttp2 gives up after a few CONTINUATION frames (205 kB were seen, one socket buffer included).
    expect(served.bytesRead).toBeLessThan(1_000_000);
  });
  test('rapid reset ends the session', async () => {
    const session = await openSession(`http://127.0.0.1:${clear.port}`);
    const goaway = new Promise<number>((resolve) => {
      session.on('goaway', (code) => resolve(code));
      session.on('close', () => resolve(-1));
    });
    for (let i = 0; i < 3_000 && !session.destroyed; i++) {
      const stream = session.request({ ':path': '/' });
      stream.on('error', () => undefined);
      stream.close(8);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await goaway).not.toBe(0);
    session.destroy();
  });
  test('a flood of SETTINGS ends the session', async () => {
    const socket = await openSocket(clear.port);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const closed = once(socket, 'close');
    // Never read: the acknowledgements pile up at the server.
    socket.pause();
    const frame = Buffer.from('000000040000000000', 'hex');
    const flood = Buffer.concat(Array.from({ length: 20_000 }, () => frame));
    socket.write(flood);
    socket.resume();
    await closed;
    expect(socket.destroyed).toBe(true);
  });
});
