import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { until } from './gateway.ts';
import {
  closeAll,
  closing,
  deadUpstream,
  fragileGet,
  gatewayTo,
  h2cUpstream,
  httpUpstream,
  rawExchange,
  tcpUpstream,
} from './upstreams.ts';

afterEach(closeAll);

/** What the issue allows from the caller's leaving to the upstream's hearing of it. */
const ABORT_MS_MAX = 150;

/** An upstream that answers a head and then waits; tells when its response was closed. */
async function waitingUpstream(
  protocol: 'http/1.1' | 'h2',
): Promise<{ url: string; closedAt: () => number; begun: () => boolean }> {
  let closedAt = 0;
  let begun = false;
  const onClose = (): void => {
    closedAt = performance.now();
  };
  const url =
    protocol === 'h2'
      ? await h2cUpstream((stream) => {
          begun = true;
          stream.on('close', onClose);
          stream.respond({ ':status': 200 });
        })
      : await httpUpstream((_req, res) => {
          begun = true;
          res.on('close', onClose);
          res.writeHead(200);
          res.flushHeaders();
        });
  return { url, closedAt: () => closedAt, begun: () => begun };
}

test.each([
  ['http/1.1', 'http/1.1'],
  ['http/1.1', 'h2'],
  ['h2', 'http/1.1'],
  ['h2', 'h2'],
] as const)('a caller over %s leaves: the upstream over %s hears of it at once', async (client, protocol) => {
  const upstream = await waitingUpstream(protocol);
  const gateway = await gatewayTo([{ url: upstream.url, protocol }], { http2: client === 'h2' });
  let leave: () => void;
  if (client === 'h2') {
    const session = http2.connect(gateway.url);
    closing(() => session.destroy());
    const stream = session.request({ ':path': '/agents/echo/' });
    await once(stream, 'response');
    leave = () => stream.close(http2.constants.NGHTTP2_CANCEL);
  } else {
    const call = fragileGet(`${gateway.url}/agents/echo/`);
    await once(call, 'response');
    leave = () => {
      call.destroy();
    };
  }
  const leftAt = performance.now();
  const finished = gateway.nextRecord();
  leave();
  const record = await finished;
  await until(() => upstream.closedAt() > 0, 'the upstream heard');
  expect(upstream.closedAt() - leftAt).toBeLessThan(ABORT_MS_MAX);
  expect(record.aborted).toBe(true);
  expect(gateway.app.exchanges.size).toBe(0);
  expect(gateway.app.circuits.list()[0]?.state).toBe('closed');
});

test('a caller who leaves before the answer leaves nothing behind, and blames nobody', async () => {
  const sockets: number[] = [];
  const url = await tcpUpstream(
    () => sockets.push(1),
    (socket) => socket.on('close', () => sockets.push(0)),
  );
  const gateway = await gatewayTo([url], { circuit: { requestsMin: 1 } });
  for (let i = 0; i < 5; i++) {
    const socket = connect(gateway.port, '127.0.0.1', () =>
      socket.write('GET /agents/echo/ HTTP/1.1\r\nHost: a\r\n\r\n'),
    );
    await until(() => sockets.filter((value) => value === 1).length === i + 1, 'the request arrived');
    const finished = gateway.nextRecord();
    socket.destroy();
    const record = await finished;
    expect(record).toMatchObject({ aborted: true, status: 0, code: '' });
  }
  await until(() => sockets.filter((value) => value === 0).length === 5, 'the upstream connections closed');
  expect(gateway.app.circuits.list()[0]?.state).toBe('closed');
  expect(gateway.app.agents.get('echo')?.instances[0]?.pool.inFlight).toBe(0);
});

test.each([
  ['a stated length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial'],
  ['a large stated length', `HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\npartial`],
  ['chunked coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n'],
])('an upstream killed mid-body (%s): the caller never sees a clean end', async (_name, answer) => {
  const url = await tcpUpstream((socket) => {
    socket.write(answer, () => setImmediate(() => socket.end()));
  });
  const overH1 = await gatewayTo([url], { retries: 0 });
  const [res] = (await once(fragileGet(`${overH1.url}/agents/echo/`), 'response')) as [IncomingMessage];
  res.resume();
  await expect(once(res, 'end')).rejects.toThrow();
  expect(res.complete).toBe(false);
  const overH2 = await gatewayTo([url], { retries: 0, http2: true });
  const session = http2.connect(overH2.url);
  closing(() => session.destroy());
  const stream = session.request({ ':path': '/agents/echo/' });
  stream.resume();
  await expect(once(stream, 'end')).rejects.toThrow();
  expect(stream.rstCode).not.toBe(http2.constants.NGHTTP2_NO_ERROR);
});

test('an HTTP/1.0 caller, whose body ends with the connection, is reset too', async () => {
  const url = await tcpUpstream((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n', () =>
      setImmediate(() => socket.resetAndDestroy()),
    );
  });
  const gateway = await gatewayTo([url], { retries: 0 });
  const socket = connect(gateway.port, '127.0.0.1', () =>
    socket.write('GET /agents/echo/ HTTP/1.0\r\nHost: a\r\n\r\n'),
  );
  socket.resume();
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNRESET');
});

test('an upload is aborted: the upstream never sees its end', async () => {
  let ended = false;
  let aborted = false;
  const url = await httpUpstream((req) => {
    req.resume();
    req.on('end', () => {
      ended = true;
    });
    req.on('aborted', () => {
      aborted = true;
    });
    req.on('error', () => undefined);
  });
  const gateway = await gatewayTo([url], { body: 'stream' });
  const call = request(`${gateway.url}/agents/echo/`, { method: 'POST' });
  call.on('error', () => undefined);
  call.write(Buffer.alloc(100_000));
  await until(() => gateway.app.exchanges.size === 1, 'the exchange is open');
  const finished = gateway.nextRecord();
  call.destroy();
  expect((await finished).aborted).toBe(true);
  await until(() => aborted, 'the upstream saw the abort');
  expect(ended).toBe(false);
});

test('an upload to nobody is answered, not reset', async () => {
  const gateway = await gatewayTo([await deadUpstream()], { body: 'stream' });
  const text = await rawExchange(
    gateway.port,
    `POST /agents/echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(10)}`,
  );
  expect(text).toMatch(/^HTTP\/1\.1 502/);
  expect(text.toLowerCase()).toContain('connection: close');
});

test('listeners do not pile up on a kept-alive connection', async () => {
  const url = await httpUpstream((_req, res) => res.end('ok'));
  const gateway = await gatewayTo([url]);
  let warned = 0;
  const onWarning = (warning: Error): void => {
    if (warning.name === 'MaxListenersExceededWarning') warned++;
  };
  process.on('warning', onWarning);
  closing(() => {
    process.off('warning', onWarning);
  });
  const one = 'GET /agents/echo/ HTTP/1.1\r\nHost: a\r\n\r\n';
  const text = await rawExchange(
    gateway.port,
    one.repeat(30),
    (seen) => (seen.match(/\r\n\r\nok/g)?.length ?? 0) === 30,
  );
  expect(text.match(/HTTP\/1\.1 200/g)?.length).toBe(30);
  expect(warned).toBe(0);
});

test.each(['http/1.1', 'h2'] as const)(
  'a caller over %s who left while he was identified is not delivered',
  async (client) => {
    let calls = 0;
    const url = await httpUpstream((_req, res) => {
      calls++;
      res.end('ok');
    });
    let identified: (() => void) | undefined;
    const gateway = await gatewayTo([url], {
      http2: client === 'h2',
      before: () =>
        new Promise((resolve) => {
          identified = resolve;
        }),
    });
    let gone = false;
    gateway.app.server.on(client === 'h2' ? 'session' : 'connection', (connection: NodeJS.EventEmitter) => {
      connection.on('close', () => {
        gone = true;
      });
    });
    const socket = client === 'h2' ? http2.connect(gateway.url) : connect(gateway.port, '127.0.0.1');
    if (client === 'h2')
      (socket as http2.ClientHttp2Session).request({ ':path': '/agents/echo/' }).on('error', () => undefined);
    else (socket as import('node:net').Socket).write('GET /agents/echo/ HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => identified !== undefined, 'the request is being identified');
    socket.destroy();
    await until(() => gone, 'the gateway saw him leave');
    const finished = gateway.nextRecord();
    identified?.();
    expect(await finished).toMatchObject({ aborted: true, status: 0, attempts: 0 });
    expect(calls).toBe(0);
  },
);
