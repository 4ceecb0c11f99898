import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { until } from './gateway.ts';
import {
  closeAll,
  fragileGet,
  gatewayTo,
  h2cUpstream,
  httpUpstream,
  rawExchange,
  tcpUpstream,
} from './upstreams.ts';

afterEach(closeAll);

/** Deadlines are looked at every 100 ms. */
const SLACK_MS = 600;

async function codeOf(answer: Response): Promise<string> {
  return ((await answer.json()) as { code: string }).code;
}

test('connecting, to an address nobody answers for', async () => {
  // TEST-NET-1 (RFC 5737): packets to it are dropped, or refused by the network.
  const gateway = await gatewayTo(['http://192.0.2.1:9'], { retries: 0, timeouts: { connectMs: 200 } });
  const startedAt = performance.now();
  const answer = await fetch(`${gateway.url}/agents/echo/`);
  expect([502, 504]).toContain(answer.status);
  expect(performance.now() - startedAt).toBeLessThan(200 + SLACK_MS);
});

test.each(['http/1.1', 'h2'] as const)('the response head over %s', async (protocol) => {
  const url = protocol === 'h2' ? await h2cUpstream(() => undefined) : await tcpUpstream(() => undefined);
  const gateway = await gatewayTo([{ url, protocol }], { retries: 2, timeouts: { headersMs: 200 } });
  const startedAt = performance.now();
  const answer = await fetch(`${gateway.url}/agents/echo/`);
  expect(answer.status).toBe(504);
  expect(await codeOf(answer)).toBe('upstream_timeout');
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(150);
  expect(performance.now() - startedAt).toBeLessThan(200 + SLACK_MS);
});

test('silence within a response body', async () => {
  const url = await tcpUpstream((socket) =>
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'),
  );
  const gateway = await gatewayTo([url], { timeouts: { bodyIdleMs: 200 } });
  const [res] = (await once(fragileGet(`${gateway.url}/agents/echo/`), 'response')) as [IncomingMessage];
  const finished = gateway.nextRecord();
  res.resume();
  await expect(once(res, 'end')).rejects.toThrow();
  expect((await finished).internalReason).toBe('the response body stalled');
});

test('a caller who stops reading is let go, and the upstream is not blamed', async () => {
  const url = await httpUpstream((_req, res) => {
    const pour = (): void => {
      while (res.write(Buffer.alloc(65_536)));
      res.once('drain', pour);
    };
    pour();
  });
  const gateway = await gatewayTo([url], { timeouts: { bodyIdleMs: 300 }, circuit: { requestsMin: 1 } });
  const socket = connect(gateway.port, '127.0.0.1', () =>
    socket.write('GET /agents/echo/ HTTP/1.1\r\nHost: a\r\n\r\n'),
  );
  socket.on('error', () => undefined);
  socket.pause();
  const record = await gateway.nextRecord();
  expect(record.internalReason).toBe('the caller stopped reading');
  expect(gateway.app.circuits.list()[0]?.state).toBe('closed');
});

test('a caller who stops sending', async () => {
  const url = await httpUpstream((req) => {
    req.resume();
    req.on('error', () => undefined);
  });
  const gateway = await gatewayTo([url], {
    body: 'stream',
    timeouts: { bodyIdleMs: 200 },
    circuit: { requestsMin: 1 },
  });
  const text = await rawExchange(
    gateway.port,
    'POST /agents/echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf',
  );
  expect(text).toMatch(/^HTTP\/1\.1 408/);
  expect(text).toContain('request_body_timeout');
  expect(gateway.app.circuits.list()[0]?.state).toBe('closed');
});

test('an upload that keeps moving outlives every phase', async () => {
  const url = await httpUpstream((req, res) => {
    req.resume();
    req.on('end', () => res.end('whole'));
  });
  const gateway = await gatewayTo([url], { body: 'stream', timeouts: { bodyIdleMs: 300, headersMs: 300 } });
  const call = request(`${gateway.url}/agents/echo/`, { method: 'POST' });
  const answered = once(call, 'response') as Promise<[IncomingMessage]>;
  for (let i = 0; i < 8; i++) {
    call.write('tick');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  call.end();
  expect((await answered)[0].statusCode).toBe(200);
  (await answered)[0].resume();
});

test('the whole exchange', async () => {
  const url = await httpUpstream((_req, res) => {
    res.writeHead(200);
    const timer = setInterval(() => res.write('tick'), 20);
    res.on('close', () => clearInterval(timer));
  });
  const gateway = await gatewayTo([url], { timeouts: { totalMs: 300 } });
  const [res] = (await once(fragileGet(`${gateway.url}/agents/echo/`), 'response')) as [IncomingMessage];
  res.resume();
  await expect(once(res, 'end')).rejects.toThrow();
  await until(() => gateway.app.exchanges.size === 0, 'closed');
});
