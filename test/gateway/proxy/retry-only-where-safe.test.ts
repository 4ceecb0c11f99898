import http2 from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import { closeAll, deadUpstream, gatewayTo, h2cUpstream, httpUpstream, tcpUpstream } from './upstreams.ts';

afterEach(closeAll);

async function healthy(): Promise<string> {
  return httpUpstream((req, res) => {
    let length = 0;
    req.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    req.on('end', () => res.end(`${req.method} ${length}`));
  });
}

/** Takes the whole request, then closes without a word. */
async function droppingUpstream(seen: string[]): Promise<string> {
  return tcpUpstream((socket, text) => {
    seen.push(text.split(' ')[0] ?? '');
    socket.destroy();
  });
}

test.each(['GET', 'POST', 'PATCH', 'DELETE'])(
  '%s is tried elsewhere when the connection was refused',
  async (method) => {
    const gateway = await gatewayTo([await deadUpstream(), await healthy()], { retries: 1 });
    const body = method === 'GET' ? null : 'abc';
    const answer = await fetch(`${gateway.url}/agents/echo/`, { method, body });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(`${method} ${body === null ? 0 : 3}`);
    expect(gateway.records[0]?.attempts).toBe(2);
  },
);

test.each(['GET', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'])(
  '%s is tried elsewhere when the connection broke before the answer',
  async (method) => {
    const seen: string[] = [];
    const gateway = await gatewayTo([await droppingUpstream(seen), await healthy()], { retries: 1 });
    const answer = await fetch(`${gateway.url}/agents/echo/`, {
      method,
      ...(method === 'PUT' ? { body: 'abc' } : {}),
    });
    expect(answer.status).toBe(200);
    expect(seen).toEqual([method]);
    expect(gateway.records[0]?.attempts).toBe(2);
  },
);

test.each(['POST', 'PATCH'])('%s is not repeated once it was sent', async (method) => {
  const seen: string[] = [];
  const gateway = await gatewayTo([await droppingUpstream(seen), await healthy()], { retries: 3 });
  const answer = await fetch(`${gateway.url}/agents/echo/`, { method, body: 'abc' });
  expect(answer.status).toBe(502);
  expect(((await answer.json()) as { code: string }).code).toBe('upstream_unreachable');
  expect(seen).toEqual([method]);
});

test('a streamed body is never repeated', async () => {
  const gateway = await gatewayTo([await deadUpstream(), await healthy()], { retries: 3, body: 'stream' });
  const answer = await fetch(`${gateway.url}/agents/echo/`, { method: 'PUT', body: 'abc' });
  expect(answer.status).toBe(502);
  expect(gateway.records[0]?.attempts).toBe(1);
});

test('a malformed answer and a slow one are not repeated', async () => {
  let calls = 0;
  const broken = await tcpUpstream((socket) => {
    calls++;
    socket.write('nonsense\r\n\r\n');
  });
  const gateway = await gatewayTo([broken, broken.replace('127.0.0.1', 'localhost')], { retries: 3 });
  expect((await fetch(`${gateway.url}/agents/echo/`)).status).toBe(502);
  expect(calls).toBe(1);

  const slow = await tcpUpstream(() => {
    calls++;
  });
  const other = await gatewayTo([slow], { retries: 3, timeouts: { headersMs: 150 } });
  expect((await fetch(`${other.url}/agents/echo/`)).status).toBe(504);
  expect(calls).toBe(2);
});

test('the same instance is tried again when a kept-alive connection was closing, and attempts are bounded', async () => {
  const seen: string[] = [];
  const gateway = await gatewayTo([await droppingUpstream(seen)], {
    retries: 2,
    circuit: { requestsMin: 100 },
  });
  expect((await fetch(`${gateway.url}/agents/echo/`)).status).toBe(502);
  expect(seen).toEqual(['GET', 'GET', 'GET']);
  expect(gateway.records[0]?.attempts).toBe(3);
});

test('an answer that has begun is never repeated', async () => {
  let calls = 0;
  const url = await tcpUpstream((socket) => {
    calls++;
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial');
  });
  const gateway = await gatewayTo([url, await healthy()], { retries: 3 });
  await expect(fetch(`${gateway.url}/agents/echo/`).then((answer) => answer.text())).rejects.toThrow();
  expect(calls).toBe(1);
});

test('what undici repeats by itself counts as an attempt: a refused stream', async () => {
  let calls = 0;
  const url = await h2cUpstream((stream) => {
    calls++;
    stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  });
  const gateway = await gatewayTo([{ url, protocol: 'h2' }, await healthy()], { retries: 1 });
  const answer = await fetch(`${gateway.url}/agents/echo/`, { method: 'POST', body: 'abc' });
  // Two of two attempts went to the refusing one, so no third is made.
  expect(answer.status).toBe(502);
  expect(calls).toBe(2);
  expect(gateway.records[0]?.attempts).toBe(2);
});

test('a refused stream goes to another instance, whatever the method', async () => {
  const url = await h2cUpstream((stream) => stream.close(http2.constants.NGHTTP2_REFUSED_STREAM));
  const gateway = await gatewayTo([{ url, protocol: 'h2' }, await healthy()], { retries: 2 });
  const answer = await fetch(`${gateway.url}/agents/echo/`, { method: 'POST', body: 'abc' });
  expect(answer.status).toBe(200);
  expect(gateway.records[0]?.attempts).toBe(3);
});
