import { once } from 'node:events';
import { get, request } from 'node:http';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { until } from './gateway.ts';
import { closeAll, closing, gatewayTo, h2cUpstream, httpUpstream, tcpUpstream } from './upstreams.ts';

afterEach(closeAll);

const CHUNK = Buffer.alloc(65_536, 'x');

/** More than all socket buffers on the way, both kernels' and Node's, hold together. */
const ENDLESS_BYTES = 256 * 1024 * 1024;

test.each(['http/1.1', 'h2'] as const)(
  'an upstream over %s is held back by a caller who does not read',
  async (protocol) => {
    let sent = 0;
    let blocked = false;
    const pour = (sink: NodeJS.WritableStream): void => {
      const more = (): void => {
        while (sent < ENDLESS_BYTES) {
          sent += CHUNK.length;
          if (!sink.write(CHUNK)) {
            blocked = true;
            sink.once('drain', more);
            return;
          }
          blocked = false;
        }
        sink.end();
      };
      more();
    };
    const url =
      protocol === 'h2'
        ? await h2cUpstream((stream) => {
            stream.respond({ ':status': 200 });
            pour(stream);
          })
        : await httpUpstream((_req, res) => pour(res));
    const gateway = await gatewayTo([{ url, protocol }]);
    const socket = connect(gateway.port, '127.0.0.1', () =>
      socket.write('GET /agents/echo/ HTTP/1.1\r\nHost: a\r\n\r\n'),
    );
    closing(() => {
      socket.destroy();
    });
    socket.pause();
    let before = -1;
    // Held back once two looks, 100 ms apart, find it blocked at the same byte.
    for (let look = 0; look < 40 && before !== sent; look++) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(blocked).toBe(true);
    expect(sent).toBeLessThan(32 * 1024 * 1024);
    const [record] = gateway.records;
    expect(record).toBeUndefined();

    // And flows again once he reads.
    let received = 0;
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    socket.resume();
    await until(() => received > 48 * 1024 * 1024, 'more than was held back');
  },
);

test('a caller is held back by an upstream who does not read', async () => {
  const url = await tcpUpstream(
    () => undefined,
    (socket) => socket.pause(),
  );
  const gateway = await gatewayTo([url], { body: 'stream' });
  let accepted = 0;
  const call = request(`${gateway.url}/agents/echo/`, { method: 'POST' });
  call.on('error', () => undefined);
  closing(() => {
    call.destroy();
  });
  const pour = (): void => {
    while (accepted < ENDLESS_BYTES && call.write(CHUNK)) accepted += CHUNK.length;
    call.once('drain', pour);
  };
  pour();
  let before = -1;
  for (let look = 0; look < 40 && before !== accepted; look++) {
    before = accepted;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(accepted).toBeLessThan(32 * 1024 * 1024);
});

test('server-sent events arrive as they are sent, the head before the first', async () => {
  let send: ((text: string) => void) | undefined;
  const url = await httpUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.flushHeaders();
    send = (text) => res.write(text);
  });
  const gateway = await gatewayTo([url]);
  const call = get(`${gateway.url}/agents/echo/events`);
  closing(() => {
    call.destroy();
  });
  const [res] = (await once(call, 'response')) as [import('node:http').IncomingMessage];
  expect(res.headers['content-type']).toBe('text/event-stream');
  for (const event of ['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n']) {
    const sentAt = performance.now();
    send?.(event);
    const [chunk] = (await once(res, 'data')) as [Buffer];
    expect(chunk.toString()).toBe(event);
    expect(performance.now() - sentAt).toBeLessThan(200);
  }
});

test('server-sent events arrive over HTTP/2 as they are sent', async () => {
  let send: ((text: string) => void) | undefined;
  const url = await h2cUpstream((stream) => {
    stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
    send = (text) => stream.write(text);
  });
  const gateway = await gatewayTo([{ url, protocol: 'h2' }], { http2: true });
  const session = http2.connect(gateway.url);
  closing(() => session.destroy());
  const stream = session.request({ ':path': '/agents/echo/events' });
  await once(stream, 'response');
  for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
    send?.(event);
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    expect(chunk.toString()).toBe(event);
  }
});

test('both directions at once: each line is answered before the next is sent', async () => {
  const url = await httpUpstream((req, res) => {
    res.writeHead(200);
    res.flushHeaders();
    req.on('data', (chunk: Buffer) => res.write(`echo ${chunk.toString()}`));
    req.on('end', () => res.end());
  });
  const gateway = await gatewayTo([url], { body: 'stream' });
  const call = request(`${gateway.url}/agents/echo/`, { method: 'POST' });
  call.write('first');
  const [res] = (await once(call, 'response')) as [import('node:http').IncomingMessage];
  expect(String(((await once(res, 'data')) as [Buffer])[0])).toBe('echo first');
  call.write('second');
  expect(String(((await once(res, 'data')) as [Buffer])[0])).toBe('echo second');
  res.resume();
  call.end();
  await once(res, 'end');
});

test('an h2c upstream gets many requests over one connection', async () => {
  const sessions = new Set<unknown>();
  const url = await h2cUpstream((stream, headers) => {
    sessions.add(stream.session);
    stream.respond({ ':status': 200 });
    stream.end(`${String(headers[':path'])} ${String(headers.cookie)}`);
  });
  const gateway = await gatewayTo([{ url, protocol: 'h2' }], { http2: true });
  const session = http2.connect(gateway.url);
  closing(() => session.destroy());
  const bodies = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const stream = session.request({ ':path': `/agents/echo/${index}`, cookie: ['a=1', 'b=2'] });
      let body = '';
      for await (const chunk of stream) body += String(chunk);
      return body;
    }),
  );
  expect(bodies).toEqual(Array.from({ length: 50 }, (_, index) => `/${index} a=1; b=2`));
  expect(sessions.size).toBe(1);
});
