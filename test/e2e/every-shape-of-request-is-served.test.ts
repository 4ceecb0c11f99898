import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contentDigest } from '../../src/trust/wire/content-digest.ts';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import {
  answerOnStream,
  answerTo,
  openHttp1,
  openSession,
  openStream,
  send,
  TRANSPORTS,
} from './support/clients.ts';

const alice = newCaller();
const BODY = Buffer.from('{"city":"Seoul"}');
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({ agents: [`{ id: echo, upstreams: ["${agent.url}"] }`], policy: ALLOW_ALL });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const call = (method: string, more: Partial<Call> = {}): Call =>
  signed(alice, gateway.origin, { method, target: '/agents/echo/tasks', ...more });

describe.each(TRANSPORTS)('over %s', (transport) => {
  test.each(['GET', 'OPTIONS', 'DELETE', 'POST', 'PUT', 'PATCH'])('%s without a body', async (method) => {
    expect(await send(gateway, call(method), transport)).toMatchObject({ status: 200, body: '{"ok":true}' });
    expect(agent.seen.at(-1)).toMatchObject({ method, url: '/tasks', body: '' });
  });

  test('HEAD, whose answer has no body', async () => {
    expect(await send(gateway, call('HEAD'), transport)).toMatchObject({ status: 200, body: '' });
    expect(agent.seen.at(-1)?.method).toBe('HEAD');
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('%s with a body', async (method) => {
    expect(await send(gateway, call(method, { body: BODY }), transport)).toMatchObject({ status: 200 });
    expect(agent.seen.at(-1)).toMatchObject({ method, body: BODY.toString() });
    expect(agent.seen.at(-1)?.headers['content-digest']).toBe(contentDigest(BODY));
  });

  test('a body of nothing, with its digest', async () => {
    const body = Buffer.alloc(0);
    const empty = call('POST', { headers: [['content-digest', contentDigest(body)]] });
    expect(await send(gateway, { ...empty, body }, transport)).toMatchObject({ status: 200 });
  });

  test('the largest body that is held', async () => {
    const body = Buffer.alloc(1_048_576, 'abc');
    expect(await send(gateway, call('POST', { body }), transport)).toMatchObject({ status: 200 });
    expect(agent.seen.at(-1)?.body.length).toBe(body.length);
  });

  test.each([
    '/agents/echo',
    '/agents/echo/?a=1&a=2&b',
    '/agents/echo/%E2%9C%93/a+b/~user;v=1',
    '/agents/echo/a:b@c!$&()*,=',
    `/agents/echo/${'long/'.repeat(200)}`,
  ])('the target as it was signed: %s', async (target) => {
    expect(await send(gateway, call('GET', { target }), transport)).toMatchObject({ status: 200 });
    const rest = target.slice('/agents/echo'.length);
    expect(agent.seen.at(-1)?.url).toBe(rest.startsWith('/') ? rest : `/${rest}`);
  });
});

test('over HTTP/1.1, a body in chunks', async () => {
  const request = openHttp1(gateway, call('POST', { body: BODY }));
  const answer = answerTo(request);
  for (const byte of BODY) request.write(Buffer.of(byte));
  request.end();
  expect(await answer).toMatchObject({ status: 200 });
  expect(agent.seen.at(-1)?.body).toBe(BODY.toString());
});

test('over HTTP/1.1, one connection serves and refuses again and again', async () => {
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number>();
  for (let round = 0; round < 10; round += 1) {
    const {
      method,
      target,
      headers = [],
    } = round % 2 === 0 ? call('GET') : { ...call('GET'), target: '/agents/echo/x' };
    const options = { host: '127.0.0.1', port: gateway.port, agent: kept, method, path: target };
    const request = httpRequest({ ...options, headers: Object.fromEntries(headers) }).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    ports.add(response.socket.localPort ?? 0);
    response.resume();
    await once(response, 'end');
    expect(response.statusCode).toBe(round % 2 === 0 ? 200 : 401);
  }
  expect(ports.size).toBe(1);
  kept.destroy();
});

test('over h2, a hundred at once on one session, each for itself', async () => {
  const session = await openSession(gateway);
  const answers = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const one =
        i % 3 === 0
          ? { ...call('GET'), target: '/agents/echo/x' }
          : call(i % 3 === 1 ? 'GET' : 'POST', i % 3 === 1 ? {} : { body: BODY });
      const stream = openStream(session, gateway, one);
      const answer = answerOnStream(stream);
      if (one.body !== undefined) stream.end(one.body);
      return (await answer).status;
    }),
  );
  expect(answers).toEqual(Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? 401 : 200)));
  session.destroy();
});
