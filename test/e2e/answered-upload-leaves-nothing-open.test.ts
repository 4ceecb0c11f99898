import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { newCaller, signed } from './support/callers.ts';
import { answerOnStream, openSession, openStream } from './support/clients.ts';

const BODY = Buffer.alloc(1_000, 'a');
/** Answers at once, whatever is still to come, with a trailer. */
const hasty = createServer((_request, response) => {
  response.writeHead(200, { trailer: 'x-sum' });
  response.write('answer');
  response.addTrailers({ 'x-sum': '42' });
  response.end();
});
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  hasty.listen(0, '127.0.0.1');
  await once(hasty, 'listening');
  const url = `http://127.0.0.1:${(hasty.address() as AddressInfo).port}`;
  gateway = await openGateway({
    agents: [
      `{ id: echo, upstreams: ["${agent.url}"] }`,
      `{ id: hasty, upstreams: ["${url}"], authentication: none }`,
    ],
    policy: ALLOW_ALL,
    env: { BODY_IDLE_TIMEOUT_MS: '200' },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  hasty.closeAllConnections();
  hasty.close();
  await once(hasty, 'close');
});

test('over h2, a caller who falls silent, is told so and leaves', async () => {
  const call = signed(newCaller(), gateway.origin, { method: 'POST', target: '/agents/echo/', body: BODY });
  const session = await openSession(gateway);
  const stream = openStream(session, gateway, call);
  stream.write(BODY.subarray(0, 10));
  expect(await answerOnStream(stream)).toMatchObject({ status: 408, code: 'body_timeout' });
  await until(() => gateway.app.connections.requestsInFlight === 0, 'the stream has ended at the gateway');
  session.destroy();
  await until(() => gateway.app.connections.socketsOpen === 0, 'the connection has ended at the gateway');
});

test('over h2, an answer that comes before the upload has ended is whole, its trailers too', async () => {
  const session = await openSession(gateway);
  const call = {
    method: 'POST',
    target: '/agents/hasty/',
    body: BODY,
    headers: [['te', 'trailers']] as const,
  };
  const stream = openStream(session, gateway, call);
  const trailers = once(stream, 'trailers');
  stream.write(BODY.subarray(0, 10));
  expect(await answerOnStream(stream)).toMatchObject({ status: 200, body: 'answer' });
  expect((await trailers)[0]).toMatchObject({ 'x-sum': '42' });
  await until(() => gateway.app.connections.requestsInFlight === 0, 'the stream has ended at the gateway');
  session.destroy();
});
