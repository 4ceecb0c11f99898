import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSession, type Running, requestHttp2, sendRaw, startListener } from './support.ts';

let running: Running;
let served = 0;
beforeAll(async () => {
  running = await startListener((app) => {
    app.all('/*', async () => {
      served++;
      return { served };
    });
  });
});
afterAll(() => running.app.close());

const HOST = 'Host: a.example\r\n';
const CLOSE = 'Connection: close\r\n';

// What follows the head must never be taken for a second request, hence `heads` is 1 in every case.
const SMUGGLED = `GET /smuggled HTTP/1.1\r\n${HOST}${CLOSE}\r\n`;

const HTTP1: readonly (readonly [name: string, text: string, status: number, code: string])[] = [
  [
    'Content-Length and Transfer-Encoding',
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    400,
    'request_malformed',
  ],
  [
    'Transfer-Encoding and Content-Length',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    400,
    'request_malformed',
  ],
  [
    'two Content-Lengths',
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`,
    400,
    'request_malformed',
  ],
  [
    'a Content-Length list',
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 1, 1\r\n\r\na${SMUGGLED}`,
    400,
    'request_malformed',
  ],
  [
    'a coding before chunked',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n${CLOSE}\r\n0\r\n\r\n`,
    400,
    'framing_ambiguous',
  ],
  [
    'a coding that is not chunked',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n`,
    400,
    'framing_ambiguous',
  ],
  [
    'Transfer-Encoding in HTTP/1.0',
    `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
    'framing_ambiguous',
  ],
  [
    'a space before the colon',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    400,
    'request_malformed',
  ],
  ['two Hosts', `GET / HTTP/1.1\r\n${HOST}host: b.example\r\n${CLOSE}\r\n`, 400, 'field_repeated'],
  ['no Host', `GET / HTTP/1.1\r\n${CLOSE}\r\n`, 400, 'authority_missing'],
  ['no Host in HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', 400, 'authority_missing'],
  ['an empty Host', `GET / HTTP/1.1\r\nHost:\r\n${CLOSE}\r\n`, 400, 'authority_missing'],
  ['a Host with user information', `GET / HTTP/1.1\r\nHost: u@a\r\n${CLOSE}\r\n`, 400, 'authority_malformed'],
  ['a Host with a path', `GET / HTTP/1.1\r\nHost: a/b\r\n${CLOSE}\r\n`, 400, 'authority_malformed'],
  ['two hosts in one Host', `GET / HTTP/1.1\r\nHost: a, b\r\n${CLOSE}\r\n`, 400, 'authority_malformed'],
  [
    'an absolute target unlike Host',
    `GET http://b.example/ HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    400,
    'authority_mismatch',
  ],
  [
    'an absolute target with user information',
    `GET http://a.example@b.example/ HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    400,
    'authority_mismatch',
  ],
  [
    'an absolute target of another scheme',
    `GET ftp://a.example/ HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    400,
    'target_malformed',
  ],
  ['a fragment', `GET /a#b HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, 400, 'target_malformed'],
  ['a backslash', `GET /a\\b HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, 400, 'target_malformed'],
  ['the asterisk with GET', `GET * HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, 400, 'target_malformed'],
  ['a control byte in the target', `GET /\x01 HTTP/1.1\r\n${HOST}\r\n`, 400, 'request_malformed'],
  ['a byte beyond ASCII in the target', `GET /\xe9 HTTP/1.1\r\n${HOST}\r\n`, 400, 'request_malformed'],
  ['a folded field', `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, 400, 'request_malformed'],
  ['a bare LF', `GET / HTTP/1.1\r\n${HOST}X: a\nY: b\r\n\r\n`, 400, 'request_malformed'],
  ['bare LFs only', 'GET / HTTP/1.1\nHost: a\n\n', 400, 'request_malformed'],
  ['a bare CR', `GET / HTTP/1.1\r\n${HOST}X: a\rY: b\r\n\r\n`, 400, 'request_malformed'],
  ['a NUL', `GET / HTTP/1.1\r\n${HOST}X: a\0\r\n\r\n`, 400, 'request_malformed'],
  ['a lower-case method', `get / HTTP/1.1\r\n${HOST}\r\n`, 400, 'request_malformed'],
  ['TRACE', `TRACE / HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, 405, 'method_not_allowed'],
  ['CONNECT', `CONNECT a.example:1 HTTP/1.1\r\n${HOST}\r\n`, 405, 'method_not_allowed'],
  ['HTTP/2.0 in a request line', `GET / HTTP/2.0\r\n${HOST}\r\n`, 505, 'http_version_unsupported'],
  ['HTTP/0.9 in a request line', `GET / HTTP/0.9\r\n${HOST}\r\n`, 505, 'http_version_unsupported'],
  [
    'two Authorizations',
    `GET / HTTP/1.1\r\n${HOST}Authorization: a\r\nauthorization: b\r\n${CLOSE}\r\n`,
    400,
    'field_repeated',
  ],
  [
    'two Content-Types',
    `GET / HTTP/1.1\r\n${HOST}Content-Type: a/b\r\nContent-type: c/d\r\n${CLOSE}\r\n`,
    400,
    'field_repeated',
  ],
  ['an unknown expectation', `GET / HTTP/1.1\r\n${HOST}Expect: a\r\n${CLOSE}\r\n`, 417, 'expectation_failed'],
];

describe('HTTP/1.1', () => {
  test.each(HTTP1)('%s', async (_name, text, status, code) => {
    const before = served;
    const answer = await sendRaw(running.port, text);
    expect({ status: answer.status, code: answer.problem.code, heads: answer.heads }).toEqual({
      status,
      code,
      heads: 1,
    });
    expect(served).toBe(before);
  });

  test.each([
    '/a/../b',
    '/a/./b',
    '/..',
    '/a/%2e%2E/b',
    '/a/.%2e',
    '/a/..%2fb',
    '/a%2f..%2fb',
    '/a/..;x/b',
    '/a%5c..%5cb',
  ])('dot segment %s', async (path) => {
    const answer = await sendRaw(running.port, `GET ${path} HTTP/1.1\r\n${HOST}${CLOSE}\r\n`);
    expect(answer.problem.code).toBe('target_malformed');
  });

  test.each(['/a/...', '/a/.b', '/a/b.', '/a/..b', '/a?x=/../', '//a', '/a%2fb', '/.well-known/x'])(
    'no dot segment %s',
    async (path) => {
      const answer = await sendRaw(running.port, `GET ${path} HTTP/1.1\r\n${HOST}${CLOSE}\r\n`);
      expect(answer.status).toBe(200);
    },
  );

  test('an absolute target like Host is served by its path', async () => {
    const answer = await sendRaw(running.port, `GET http://A.example/x?y HTTP/1.1\r\n${HOST}${CLOSE}\r\n`);
    expect(answer.status).toBe(200);
  });

  test('an upgrade to h2c is ignored', async () => {
    const answer = await sendRaw(
      running.port,
      `GET / HTTP/1.1\r\n${HOST}Upgrade: h2c\r\nHTTP2-Settings: AAA\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n`,
    );
    expect(answer.status).toBe(200);
  });

  test('garbage behind a request in flight does not answer it', async () => {
    const answer = await sendRaw(running.port, `GET / HTTP/1.1\r\n${HOST}\r\nGARBAGE\r\n\r\n`);
    // Either nothing, or the first request's own answer: never a 400 in its place.
    expect(answer.text).not.toMatch(/^HTTP\/1\.1 400/);
  });
});

describe('HTTP/2', () => {
  test.each([
    ['a lower-case method', { ':method': 'get' }, 'method_malformed'],
    ['TRACE', { ':method': 'TRACE' }, 'method_not_allowed'],
    ['a host unlike :authority', { ':authority': 'a.example', host: 'b.example' }, 'authority_mismatch'],
    ['a fragment', { ':path': '/a#b' }, 'target_malformed'],
    ['a backslash', { ':path': '/\\a' }, 'target_malformed'],
    ['a dot segment', { ':path': '/a/../b' }, 'target_malformed'],
    ['two hosts in :authority', { ':authority': 'a,b' }, 'authority_malformed'],
    ['an unknown expectation', { expect: 'a' }, 'expectation_failed'],
  ])('%s', async (_name, headers, code) => {
    const session = await openSession(`http://127.0.0.1:${running.port}`);
    const answer = await requestHttp2(session, headers);
    session.destroy();
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(JSON.parse(answer.body)).toMatchObject({ code, status: answer.status });
  });

  test('CONNECT', async () => {
    const session = await openSession(`http://127.0.0.1:${running.port}`);
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'a.example:1' });
    const status = await new Promise((resolve) => {
      stream.on('response', (head) => resolve(head[':status']));
    });
    session.destroy();
    expect(status).toBe(405);
  });

  test('a host like :authority, and a scheme of the caller, change nothing', async () => {
    const session = await openSession(`http://127.0.0.1:${running.port}`);
    const answer = await requestHttp2(session, {
      ':authority': 'a.example',
      host: 'A.example',
      ':scheme': 'gopher',
    });
    session.destroy();
    expect(answer.status).toBe(200);
  });
});
