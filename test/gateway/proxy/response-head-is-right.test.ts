import http2 from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import {
  closeAll,
  closing,
  gatewayTo,
  h2cUpstream,
  httpUpstream,
  rawExchange,
  tcpUpstream,
} from './upstreams.ts';

afterEach(closeAll);

const GET = 'GET /agents/echo/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

async function throughRaw(answer: string, request = GET, options = {}): Promise<string> {
  const url = await tcpUpstream((socket) => socket.write(answer, 'latin1'));
  const gateway = await gatewayTo([url], options);
  return rawExchange(gateway.port, request);
}

test('hop-by-hop fields of the upstream stay behind, its own fields pass', async () => {
  const text = await throughRaw(
    'HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nX-Keep: 2\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: Basic\r\n' +
      'Upgrade: h2c\r\nAlt-Svc: h3=":443"\r\nX-Sage-Verified-Did: did:evil:1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi',
  );
  expect(text).toContain('x-keep: 2');
  expect(text).toMatch(/set-cookie: a=1\r\nset-cookie: b=2/i);
  for (const gone of ['x-hop', 'timeout=9', 'proxy-authenticate', 'h2c', 'alt-svc', 'did:evil'])
    expect(text.toLowerCase()).not.toContain(gone);
  expect(text.endsWith('\r\n\r\nhi')).toBe(true);
});

test('fields of the gateway replace the same of the upstream', async () => {
  const text = await throughRaw('HTTP/1.1 200 OK\r\nRateLimit: forged\r\nContent-Length: 0\r\n\r\n', GET, {
    responseHeaders: ['ratelimit', '"a";r=1'],
  });
  expect(text).toContain('ratelimit: "a";r=1');
  expect(text).not.toContain('forged');
});

test('HEAD keeps the length and has no body', async () => {
  const text = await throughRaw(
    'HTTP/1.1 200 OK\r\nContent-Length: 42\r\nTrailer: x\r\n\r\n',
    GET.replace('GET', 'HEAD'),
  );
  expect(text).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(text).toContain('content-length: 42');
  expect(text.endsWith('\r\n\r\n')).toBe(true);
});

test('204 has neither length nor body', async () => {
  const text = await throughRaw('HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n');
  expect(text).toMatch(/^HTTP\/1\.1 204/);
  expect(text.toLowerCase()).not.toContain('content-length');
  expect(text).toContain('x-a: 1');
});

test('304 keeps its length and has no body', async () => {
  const text = await throughRaw('HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 5\r\n\r\n');
  expect(text).toMatch(/^HTTP\/1\.1 304/);
  expect(text).toContain('etag: "a"');
  expect(text.endsWith('\r\n\r\n')).toBe(true);
});

test('a Trailer field beside a Content-Length is left out, not an error', async () => {
  const text = await throughRaw('HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nContent-Length: 2\r\n\r\nhi');
  expect(text).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(text.toLowerCase()).not.toContain('trailer');
});

test('103 arrives before the answer, and an HTTP/1.0 caller gets none', async () => {
  const url = await httpUpstream((_req, res) => {
    res.writeEarlyHints({ link: '</a.css>; rel=preload; as=style' }, () => res.end('done'));
  });
  const gateway = await gatewayTo([url]);
  const text = await rawExchange(gateway.port, GET);
  expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a\.css>/i);
  expect(text).toMatch(/HTTP\/1\.1 200 OK/);
  const old = await rawExchange(gateway.port, 'GET /agents/echo/ HTTP/1.0\r\nHost: a\r\n\r\n');
  expect(old).toMatch(/^HTTP\/1\.1 200 OK/);
});

test('an upstream that says 101 unasked is malformed', async () => {
  const text = await throughRaw(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  );
  expect(text).toMatch(/^HTTP\/1\.1 502/);
});

test.each([
  ['not HTTP at all', 'hello\r\n\r\n'],
  ['fields larger than 32 KiB', `HTTP/1.1 200 OK\r\nX-Large: ${'a'.repeat(40_000)}\r\n\r\n`],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!'],
  [
    'length and chunked',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
])('%s is a malformed answer', async (_name, answer) => {
  const text = await throughRaw(answer);
  expect(text).toMatch(/^HTTP\/1\.1 502/);
  expect(text).toMatch(/upstream_(protocol_error|unreachable)/);
});

test('trailers pass: HTTP/1.1 to HTTP/1.1, and those that would change the head do not', async () => {
  const text = await throughRaw(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\nSet-Cookie: evil=1\r\n\r\n',
  );
  expect(text).toContain('Transfer-Encoding: chunked');
  expect(text).toMatch(/0\r\nx-sum: 7\r\n\r\n$/);
  expect(text).not.toContain('evil=1');
});

test('trailers pass: HTTP/2 to HTTP/2, unannounced as in gRPC', async () => {
  const url = await h2cUpstream((stream, headers) => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'x-te': String(headers.te) },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end('frame');
  });
  const gateway = await gatewayTo([{ url, protocol: 'h2' }], { http2: true });
  const session = http2.connect(gateway.url);
  closing(() => session.destroy());
  const stream = session.request({ ':path': '/agents/echo/svc/Method', te: 'trailers' });
  const seen = await new Promise<{ te: string; body: string; trailers: http2.IncomingHttpHeaders }>(
    (resolve, reject) => {
      let te = '';
      let body = '';
      let trailers: http2.IncomingHttpHeaders = {};
      stream.on('response', (headers) => {
        te = String(headers['x-te']);
      });
      stream.on('trailers', (got: http2.IncomingHttpHeaders) => {
        trailers = got;
      });
      stream.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      stream.on('end', () => resolve({ te, body, trailers }));
      stream.on('error', reject);
    },
  );
  expect(seen.te).toBe('trailers');
  expect(seen.body).toBe('frame');
  expect(seen.trailers['grpc-status']).toBe('0');
});

test('while draining an HTTP/1.1 connection is closed with its answer', async () => {
  const url = await httpUpstream((_req, res) => res.end('ok'));
  const gateway = await gatewayTo([url], { draining: () => true });
  const text = await rawExchange(gateway.port, 'GET /agents/echo/ HTTP/1.1\r\nHost: a\r\n\r\n');
  expect(text.toLowerCase()).toContain('connection: close');
});
