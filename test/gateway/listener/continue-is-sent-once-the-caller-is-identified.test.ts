import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sendContinue } from '../../../src/gateway/listener/continue.ts';
import { listenerRefusals } from '../../../src/gateway/listener/errors.ts';
import { Refused } from '../../../src/gateway/refusal.ts';
import { openSession, openSocket, type Running, sendRaw, startListener } from './support.ts';

let running: Running;
beforeAll(async () => {
  running = await startListener((app) => {
    app.addContentTypeParser('text/plain', (_req, payload, done) => {
      let bytes = 0;
      payload.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      payload.on('end', () => done(null, bytes));
    });
    app.post(
      '/known',
      {
        onRequest: async (req, reply) => {
          sendContinue(req.raw, reply.raw);
          // A second call must not send a second 100.
          sendContinue(req.raw, reply.raw);
        },
      },
      (req) => ({ bytes: req.body }),
    );
    app.post(
      '/unknown',
      {
        onRequest: (req, reply) => {
          reply.hijack();
          app.refuse(reply.raw, new Refused(listenerRefusals.request_invalid), req.id);
        },
      },
      () => undefined,
    );
  });
});
afterAll(() => running.app.close());

const head = (path: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`;

test('HTTP/1.1: 100, then the body, then the answer', async () => {
  const socket = await openSocket(running.port);
  socket.write(head('/known'));
  const [interim] = (await once(socket, 'data')) as [Buffer];
  expect(interim.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.write('hello');
  await once(socket, 'close');
  expect(text).toMatch(/^HTTP\/1\.1 200 [\s\S]*\{"bytes":5\}$/);
});

test('HTTP/1.1: who is refused is never told to go on, and is answered at once', async () => {
  const started = performance.now();
  const answer = await sendRaw(running.port, head('/unknown'));
  expect([answer.status, answer.heads]).toEqual([400, 1]);
  expect(performance.now() - started).toBeLessThan(900);
});

test('HTTP/2: 100, then the body, then the answer', async () => {
  const session = await openSession(`http://127.0.0.1:${running.port}`);
  const stream = session.request(
    { ':path': '/known', ':method': 'POST', 'content-type': 'text/plain', expect: '100-continue' },
    { endStream: false },
  );
  await once(stream, 'continue');
  stream.end('hello');
  stream.setEncoding('utf8');
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  session.destroy();
  expect(text).toBe('{"bytes":5}');
});

test('HTTP/2: who is refused is never told to go on', async () => {
  const session = await openSession(`http://127.0.0.1:${running.port}`);
  const stream = session.request(
    { ':path': '/unknown', ':method': 'POST', expect: '100-continue' },
    { endStream: false },
  );
  let continued = false;
  stream.on('continue', () => {
    continued = true;
  });
  stream.on('error', () => undefined);
  const [answer] = (await once(stream, 'response')) as [Record<string, unknown>];
  stream.resume();
  session.destroy();
  expect([answer[':status'], continued]).toEqual([400, false]);
});
