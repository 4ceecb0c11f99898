import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import http2 from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import { CALLER, until } from './gateway.ts';
import { closeAll, closing, fragileGet, gatewayTo, httpUpstream } from './upstreams.ts';

afterEach(closeAll);

async function streamingUpstream(): Promise<{ url: string; closed: () => number }> {
  let closed = 0;
  const url = await httpUpstream((req, res) => {
    req.resume();
    req.on('error', () => undefined);
    res.on('close', () => {
      closed++;
    });
    if (req.method === 'GET') {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: 1\n\n');
    }
  });
  return { url, closed: () => closed };
}

test('an event stream, an upload and an HTTP/2 stream of a revoked DID are closed, those of others stay', async () => {
  const upstream = await streamingUpstream();
  const gateway = await gatewayTo([upstream.url], { body: 'stream' });
  const overH2 = await gatewayTo([upstream.url], { http2: true });
  const [events] = (await once(fragileGet(`${gateway.url}/agents/echo/`), 'response')) as [IncomingMessage];
  events.resume();
  const upload = request(`${gateway.url}/agents/echo/`, { method: 'POST' });
  const refused = once(upload, 'response') as Promise<[IncomingMessage]>;
  upload.write('part');
  const session = http2.connect(overH2.url);
  closing(() => session.destroy());
  const stream = session.request({ ':path': '/agents/echo/' });
  stream.resume();
  await once(stream, 'response');
  await until(() => gateway.app.exchanges.size === 2, 'both are open');

  expect(gateway.app.exchanges.closeByDid('did:key:z6MkOther')).toBe(0);
  expect(gateway.app.exchanges.closeByDid(CALLER.did, (caller) => caller.keyId === 'another key')).toBe(0);
  expect(gateway.app.exchanges.size).toBe(2);

  const ended = expect(once(events, 'end')).rejects.toThrow();
  const reset = expect(once(stream, 'end')).rejects.toThrow();
  expect(gateway.app.exchanges.closeByDid(CALLER.did)).toBe(2);
  expect(overH2.app.exchanges.closeByDid(CALLER.did, (caller) => caller.keyId === CALLER.keyId)).toBe(1);
  await Promise.all([ended, reset]);
  const [answer] = await refused;
  expect(answer.statusCode).toBe(401);
  answer.resume();
  await until(() => upstream.closed() === 3, 'the upstream was told of all three');
  expect(gateway.app.exchanges.size + overH2.app.exchanges.size).toBe(0);
});

test('a stream ends when its key expires', async () => {
  const upstream = await streamingUpstream();
  const gateway = await gatewayTo([upstream.url], { caller: { ...CALLER, validUntilMs: Date.now() + 300 } });
  const [events] = (await once(fragileGet(`${gateway.url}/agents/echo/`), 'response')) as [IncomingMessage];
  const finished = gateway.nextRecord();
  events.resume();
  await expect(once(events, 'end')).rejects.toThrow();
  expect((await finished).internalReason).toContain('expired');
});
