import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defineRefusals, Refused } from '../../../src/gateway/refusal.ts';
import {
  openSession,
  openSocket,
  parseAnswer,
  type Running,
  requestHttp2,
  sendRaw,
  startListener,
} from './support.ts';

const kinds = defineRefusals({ tea_only: [418, 'Tea only', 'Ask for tea.', true] });
const refused = new Refused(kinds.tea_only, {
  explanation: 'coffee was asked for',
  evidence: { signature_base: '"@method": BREW', status: 200, code: 'forged' },
  headers: ['retry-after', '3'],
});

function routes(app: Running['app']): void {
  app.all('/thrown', () => {
    throw refused;
  });
  app.all(
    '/hijacked',
    {
      onRequest: (req, reply) => {
        reply.hijack();
        app.refuse(reply.raw, refused, req.id);
      },
    },
    () => undefined,
  );
  app.get('/late', (req, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, ['content-length', '10']);
    reply.raw.write('12345', () => app.refuse(reply.raw, refused, req.id));
  });
  app.get('/bug', () => {
    throw new Error('secret of the inside');
  });
  app.post('/json', { bodyLimit: 20 }, (req) => req.body);
}

let plain: Running;
let explained: Running;
beforeAll(async () => {
  plain = await startListener(routes, { bodyTimeoutMs: 150 });
  explained = await startListener(routes, { explainRefusals: true });
});
afterAll(() => Promise.all([plain.app.close(), explained.app.close()]));

const DOCUMENT = {
  type: 'urn:sage:problem:tea_only',
  title: 'Tea only',
  status: 418,
  code: 'tea_only',
  detail: 'Ask for tea.',
  request_id: expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/) as string,
  retryable: true,
};
const get = (path: string, method = 'GET', extra = ''): string =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${extra}\r\n`;

describe.each(['/thrown', '/hijacked'])('%s', (path) => {
  test('over HTTP/1.1', async () => {
    const answer = await sendRaw(plain.port, get(path));
    expect(answer.status).toBe(418);
    expect(answer.problem).toEqual(DOCUMENT);
    const head = answer.text.toLowerCase();
    for (const field of [
      'content-type: application/problem+json\r',
      'cache-control: no-store',
      'retry-after: 3',
    ])
      expect(head).toContain(field);
    expect(head).toContain(`x-request-id: ${String(answer.problem.request_id).toLowerCase()}`);
  });
  test('over HTTP/2', async () => {
    const session = await openSession(`http://127.0.0.1:${plain.port}`);
    const answer = await requestHttp2(session, { ':path': path });
    session.destroy();
    expect(JSON.parse(answer.body)).toEqual(DOCUMENT);
    expect(answer.headers).toMatchObject({
      ':status': 418,
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'retry-after': '3',
      'x-request-id': JSON.parse(answer.body).request_id,
    });
  });
  test('an answer to HEAD has the fields and no body', async () => {
    const answer = await sendRaw(plain.port, get(path, 'HEAD'));
    expect(answer.status).toBe(418);
    expect(answer.text).toMatch(/content-length: \d{3}\r/i);
    expect(answer.text.endsWith('\r\n\r\n')).toBe(true);
    const session = await openSession(`http://127.0.0.1:${plain.port}`);
    const second = await requestHttp2(session, { ':path': path, ':method': 'HEAD' });
    session.destroy();
    expect([second.status, second.body]).toEqual([418, '']);
  });
  test('the explanation is shown only when asked for, and no evidence forges a member', async () => {
    const answer = await sendRaw(explained.port, get(path));
    expect(answer.problem).toEqual({
      ...DOCUMENT,
      explanation: 'coffee was asked for',
      signature_base: '"@method": BREW',
    });
  });
});

test('a refusal after the head has left cuts the exchange', async () => {
  const answer = await sendRaw(plain.port, get('/late'));
  expect(answer.heads).toBe(1);
  expect(answer.text.endsWith('12345')).toBe(true);
  const session = await openSession(`http://127.0.0.1:${plain.port}`);
  const second = await requestHttp2(session, { ':path': '/late' });
  session.destroy();
  expect(second.rst).toBe(2);
});

describe('faults of the framework', () => {
  test.each([
    ['no such path', get('/nothing'), 404, 'not_found'],
    ['a path that cannot be decoded', get('/%zz'), 400, 'request_invalid'],
    [
      'no JSON',
      `${get('/json', 'POST', 'Content-Type: application/json\r\nContent-Length: 1\r\n')}{`,
      400,
      'request_invalid',
    ],
    [
      'an unknown media type',
      `${get('/json', 'POST', 'Content-Type: a/b\r\nContent-Length: 1\r\n')}x`,
      415,
      'media_type_unsupported',
    ],
    [
      'a long body',
      `${get('/json', 'POST', 'Content-Type: application/json\r\nContent-Length: 22\r\n')}"${'x'.repeat(20)}"`,
      413,
      'body_too_large',
    ],
    [
      'a body that never comes',
      `${get('/json', 'POST', 'Content-Type: application/json\r\nContent-Length: 9\r\n')}{`,
      408,
      'request_timeout',
    ],
  ])('%s', async (_name, text, status, code) => {
    const answer = await sendRaw(plain.port, text);
    expect([answer.status, answer.problem.code]).toEqual([status, code]);
    expect(answer.text).toContain('application/problem+json');
  });

  test('an unknown error is 500 and says nothing of the inside', async () => {
    const answer = await sendRaw(explained.port, get('/bug'));
    expect([answer.status, answer.problem.code]).toEqual([500, 'internal_error']);
    expect(answer.text).not.toContain('secret');
  });
});

describe('a refused body', () => {
  test('the whole answer arrives although the caller is still sending, and the connection ends', async () => {
    const socket = await openSocket(plain.port);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.write(`POST /hijacked HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n`);
    const chunk = Buffer.alloc(65_536);
    const send = (): void => {
      if (!socket.destroyed) socket.write(chunk, () => setImmediate(send));
    };
    send();
    await once(socket, 'close');
    const answer = parseAnswer(text);
    expect(answer.problem).toEqual(DOCUMENT);
    expect(answer.text.toLowerCase()).toContain('connection: close');
  });
  test('over HTTP/2 the stream is ended with NO_ERROR and the session lives', async () => {
    const session = await openSession(`http://127.0.0.1:${plain.port}`);
    const stream = session.request({ ':path': '/hijacked', ':method': 'POST' }, { endStream: false });
    stream.on('error', () => undefined);
    stream.write('x');
    stream.resume();
    await once(stream, 'close');
    expect(stream.rstCode).toBe(0);
    const answer = await requestHttp2(session, { ':path': '/thrown' });
    session.destroy();
    expect(answer.status).toBe(418);
  });
  test('a body refused and then sent whole leaves nothing behind', async () => {
    const answer = await sendRaw(
      plain.port,
      `POST /hijacked HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello`,
    );
    expect(answer.heads).toBe(1);
  });
});
