import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { faultOf, fetcherFor, host, JSON_TYPE, muteHost, rawHost } from './hosts.ts';

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
/** What an endless answer may have sent by the time that it is cut off, sockets' own buffers included. */
const SENT_BYTES_MAX = 16_777_216;

describe('an answer', () => {
  test.each([301, 302, 303, 307, 308])('%i that leads from https to http is not followed', async (status) => {
    let followed = 0;
    await using there = await host((request, response) => {
      if (request.url === '/next') followed += 1;
      response.writeHead(status, { location: `http://127.0.0.1:${there.port}/next` }).end('{}');
    });
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe(
      'fetch_redirected',
    );
    expect(followed).toBe(0);
  });

  test('304 that answers no question is not an answer', async () => {
    await using there = await host((_request, response) => void response.writeHead(304).end());
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe(
      'fetch_redirected',
    );
  });

  test.each([201, 203, 206, 400, 401, 403, 429, 500, 503])('%i with a body gives nothing', async (status) => {
    await using there = await host((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"id":"forged"}');
    });
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe('fetch_status');
  });

  test('of 400 MB by its length is not read', async () => {
    let sent = 0;
    await using there = await host((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 419_430_400 });
      const more = (): void => {
        for (let ok = true; ok && !response.destroyed; sent += 65_536)
          ok = response.write(Buffer.alloc(65_536, 32));
      };
      response.on('drain', more);
      more();
    });
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe('fetch_too_large');
    expect(sent).toBeLessThan(SENT_BYTES_MAX);
  });

  test('without end is cut off', async () => {
    let sent = 0;
    const cut = Promise.withResolvers<void>();
    await using there = await host((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.on('close', cut.resolve);
      const more = (): void => {
        for (let ok = true; ok && !response.destroyed; sent += 65_536)
          ok = response.write(Buffer.alloc(65_536, 32));
      };
      response.on('drain', more);
      more();
    });
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe('fetch_too_large');
    await cut.promise;
    expect(sent).toBeLessThan(SENT_BYTES_MAX);
  });

  test('of exactly 64 KiB is read, and one byte more is not', async () => {
    await using there = await host((request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const spaces = request.url === '/more' ? 65_535 : 65_534;
      response.end(`{}${' '.repeat(spaces)}`);
    });
    const fetcher = await fetcherFor();
    expect(await fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE })).toMatchObject({ kind: 'body' });
    expect(await faultOf(fetcher.fetch({ url: there.url('/more'), mediaTypes: JSON_TYPE }))).toBe(
      'fetch_too_large',
    );
  });

  test.each(['gzip', 'br', 'deflate', 'identity, gzip', 'x-unknown'])(
    'that is packed as %s is not unpacked',
    async (encoding) => {
      await using there = await host((_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding });
        response.end(gzipSync(Buffer.alloc(10_000_000, 32)));
      });
      const fetcher = await fetcherFor();
      expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe('fetch_encoded');
    },
  );

  test.each(['text/html', 'text/plain', 'application/jsonp', 'application/json; charset=utf-16', ''])(
    'of the type "%s" is refused',
    async (type) => {
      await using there = await host((_request, response) => {
        if (type !== '') response.setHeader('content-type', type);
        response.end('{}');
      });
      const fetcher = await fetcherFor();
      expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe(
        'fetch_media_type',
      );
    },
  );

  test.each([
    [
      'with a header section of a megabyte',
      `${HEAD}x: ${'y'.repeat(1_048_576)}\r\n\r\n{}`,
      'fetch_too_large',
    ],
    ['with 100,000 header fields', `${HEAD}${'a: b\r\n'.repeat(100_000)}\r\n{}`, 'fetch_too_large'],
    ['that may go on, or have been cut', `${HEAD}\r\n{}`, 'fetch_bad_answer'],
    ['of another coding than chunks', `${HEAD}transfer-encoding: gzip\r\n\r\n{}`, 'fetch_bad_answer'],
    ['that breaks off', `${HEAD}content-length: 100\r\n\r\n{}`, 'fetch_bad_answer'],
    ['with two lengths', `${HEAD}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`, 'fetch_bad_answer'],
    [
      'with a length and chunks',
      `${HEAD}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
      'fetch_bad_answer',
    ],
    ['that is not HTTP', 'SSH-2.0-OpenSSH_9.9\r\n', 'fetch_bad_answer'],
    ['that is empty', '', 'fetch_bad_answer'],
    [
      'that changes the protocol',
      'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
      'fetch_status',
    ],
    ['behind a thousand interim ones', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(1_000), 'fetch_bad_answer'],
  ])('%s is refused', async (_name, bytes, code) => {
    await using there = await rawHost((socket) => void socket.end(bytes));
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe(code);
  });

  test('whose chunks carry extensions without end is cut off', async () => {
    let sent = 0;
    await using there = await rawHost((socket) => {
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
      const chunk = `1;x=${'y'.repeat(12_000)}\r\n \r\n`;
      const more = (): void => {
        for (let ok = true; ok && !socket.destroyed; sent += chunk.length) ok = socket.write(chunk);
      };
      socket.on('drain', more);
      more();
    });
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toMatch(
      /^fetch_(too_large|bad_answer)$/,
    );
    expect(sent).toBeLessThan(SENT_BYTES_MAX);
  });
});

/** Each ends by the fetcher's own deadline; they wait side by side. */
describe.concurrent('a host that takes its time', () => {
  test.each([
    ['answers nothing', () => undefined],
    ['drips its header section', (socket: NodeJS.WritableStream) => drip(socket, `${HEAD}x: `)],
    [
      'drips its body',
      (socket: NodeJS.WritableStream) => drip(socket, `${HEAD}content-length: 9999\r\n\r\n`),
    ],
    [
      'drips interim answers',
      (socket: NodeJS.WritableStream) =>
        drip(socket, 'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\nx: '),
    ],
  ])('and %s is left after three seconds', async (_name, answer) => {
    const left = Promise.withResolvers<void>();
    await using there = await rawHost((socket) => {
      socket.on('close', left.resolve);
      answer(socket);
    });
    const fetcher = await fetcherFor();
    const startedAt = performance.now();
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe('fetch_timeout');
    expect(performance.now() - startedAt).toBeLessThan(4_500);
    await left.promise;
  });

  test('over its name is left after three seconds', async () => {
    const fetcher = await fetcherFor({
      lookup: (_host, signal) => once(signal, 'never') as Promise<string[]>,
    });
    const url = new URL('https://agents.example/doc');
    expect(await faultOf(fetcher.fetch({ url, mediaTypes: JSON_TYPE }))).toBe('fetch_timeout');
  });

  test('over TLS is left after three seconds', async () => {
    await using there = await muteHost();
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe('fetch_timeout');
  });
});

function drip(socket: NodeJS.WritableStream, first: string): void {
  socket.write(first);
  const timer = setInterval(() => socket.write('y'), 50);
  socket.on('close', () => clearInterval(timer));
}
