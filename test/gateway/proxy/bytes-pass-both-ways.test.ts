import { createServer, request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { type Gateway, listen, startGateway } from './gateway.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(handler: Parameters<typeof createServer>[1], more = {}): Promise<Gateway> {
  const server = createServer(handler as never);
  const url = await listen(server);
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const gateway = await startGateway({ upstreams: [url], ...more });
  closers.push(() => gateway.close());
  return gateway;
}

test('a GET passes with its path, query and answer', async () => {
  const gateway = await start((req, res) => {
    res.writeHead(200, { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'] });
    res.end(JSON.stringify({ url: req.url, method: req.method }));
  });
  const answer = await fetch(`${gateway.url}/agents/echo/v1/a%20b?x=1&y=%2F`);
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({ url: '/v1/a%20b?x=1&y=%2F', method: 'GET' });
  expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  const [record] = gateway.records;
  expect(record?.status).toBe(200);
  expect(record?.attempts).toBe(1);
  expect(record?.respondedAt).toBeGreaterThan(0);
});

test.each(['buffer', 'stream'] as const)('a POST body passes whole (%s)', async (body) => {
  const gateway = await start(
    (req, res) => {
      req.pipe(res);
    },
    { body },
  );
  const sent = Buffer.alloc(3_000_000, 'abcdefg');
  const answer = await fetch(`${gateway.url}/agents/echo`, { method: 'POST', body: sent });
  expect(Buffer.from(await answer.arrayBuffer()).equals(sent)).toBe(true);
  expect(gateway.records[0]?.bytesIn).toBe(sent.length);
  expect(gateway.records[0]?.bytesOut).toBe(sent.length);
});

test('a chunked upload without a length passes', async () => {
  const gateway = await start(
    (req, res) => {
      req.pipe(res);
    },
    { body: 'stream' },
  );
  const seen = await new Promise<string>((resolve, reject) => {
    const call = request(`${gateway.url}/agents/echo/`, { method: 'POST' }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (chunk: string) => {
        text += chunk;
      });
      res.on('end', () => resolve(text));
    });
    call.on('error', reject);
    call.write('one ');
    call.write('two ');
    call.end('three');
  });
  expect(seen).toBe('one two three');
});
