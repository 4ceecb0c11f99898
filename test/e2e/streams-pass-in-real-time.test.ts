import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { drain } from '../../src/gateway/listener/drain.ts';
import { ALLOW_ALL, openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import {
  closeOf,
  openEvents,
  openSession,
  openStream,
  openWebSocket,
  refusalOfWebSocket,
  send,
} from './support/clients.ts';

const alice = newCaller();
let agent: TestAgent;
let gateway: TestGateway;
/** The answers of event streams, for the test to write to. */
const streams: ServerResponse[] = [];

beforeAll(async () => {
  agent = await startAgent({
    answer(request, response) {
      if (request.url !== '/events') {
        response.end('ok');
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      streams.push(response);
    },
    onSocket(socket) {
      socket.on('message', (data: Buffer, isBinary) => {
        const text = data.toString();
        if (text.startsWith('close:')) socket.close(Number(text.slice(6)), 'as asked');
        else socket.send(data, { binary: isBinary });
      });
      socket.on('close', (code, reason) => closes.push(`${code} ${reason.toString()}`));
    },
  });
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"], websocket_max_message_bytes: 1024 }`],
    policy: ALLOW_ALL,
    tls: true,
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

/** How conversations ended at the agent. */
const closes: string[] = [];
const get = (target = '/agents/echo/'): Call => signed(alice, gateway.origin, { method: 'GET', target });

describe('WebSocket', () => {
  test('the subprotocol the agent chose, messages of both kinds, as they were', async () => {
    const socket = await openWebSocket(gateway, get(), ['other.v1', 'echo.v1']);
    expect(socket.protocol).toBe('echo.v1');
    expect(agent.seen.at(-1)?.headers['x-sage-verified-did']).toBe(alice.did);
    const kinds: [string, boolean][] = [];
    socket.on('message', (data: Buffer, isBinary: boolean) => kinds.push([data.toString(), isBinary]));
    socket.send('text');
    socket.send(Buffer.from('bytes'));
    await until(() => kinds.length === 2, 'both came back');
    expect(kinds).toEqual([
      ['text', false],
      ['bytes', true],
    ]);
    const before = closes.length;
    socket.close(4001, 'done');
    expect(await closeOf(socket)).toEqual({ code: 4001, reason: 'done' });
    expect(await until(() => closes[before], 'the agent is told')).toBe('4001 done');
  });

  test('the code by which the agent closes', async () => {
    const socket = await openWebSocket(gateway, get());
    socket.send('close:4002');
    expect(await closeOf(socket)).toEqual({ code: 4002, reason: 'as asked' });
  });

  test('a message larger than the agent takes: 1009', async () => {
    const socket = await openWebSocket(gateway, get());
    socket.send(Buffer.alloc(2_048));
    expect((await closeOf(socket)).code).toBe(1009);
  });

  test('refused before the agent hears of it', async () => {
    const before = agent.begun();
    const used = get();
    await send(gateway, used);
    const cases: readonly (readonly [Call, number, string])[] = [
      [{ method: 'GET', target: '/agents/echo/' }, 401, 'signature_required'],
      [{ ...get(), target: '/agents/echo/other' }, 401, 'signature_invalid'],
      [used, 401, 'nonce_replayed'],
      [get('/agents/nobody/'), 404, 'agent_unknown'],
    ];
    for (const [call, status, code] of cases) {
      expect(await refusalOfWebSocket(gateway, call)).toMatchObject({ status, code });
    }
    expect(agent.begun()).toBe(before + 1);
  });

  test('what the policy denies is denied to it too', async () => {
    gateway.decideBy(policyOf('rules: [{ id: no-echo, effect: deny, match: { path: /agents/** } }]'));
    await until(async () => (await send(gateway, get())).status === 403, 'the policy decides');
    expect(await refusalOfWebSocket(gateway, get())).toMatchObject({ status: 403, code: 'policy_denied' });
    gateway.decideBy(ALLOW_ALL);
    await until(async () => (await send(gateway, get())).status === 200, 'the policy decides');
  });
});

describe('server-sent events', () => {
  test('over HTTP/1.1 each arrives before the next is sent', async () => {
    const before = streams.length;
    const stream = await openEvents(gateway, get('/agents/echo/events'));
    const agentSide = streams[before];
    for (let sent = 1; sent <= 5; sent += 1) {
      agentSide?.write(`data: ${sent}\n\n`);
      await until(() => stream.events.length === sent, `event ${sent} arrives`, 1_000);
    }
    expect(stream.events.map(({ data }) => data)).toEqual(['1', '2', '3', '4', '5']);
    agentSide?.end();
    expect(await stream.ended).toBe(false);
  });

  test('over h2 as well', async () => {
    const before = streams.length;
    const session = await openSession(gateway);
    const stream = openStream(session, gateway, get('/agents/echo/events'));
    await once(stream, 'response');
    const agentSide = streams[before];
    for (const event of ['data: a\n\n', 'data: b\n\n']) {
      const arrived = once(stream, 'data');
      agentSide?.write(event);
      expect(String((await arrived)[0])).toBe(event);
    }
    session.destroy();
    await once(agentSide as ServerResponse, 'close');
  });

  test('an agent that breaks off is not taken for one that ended', async () => {
    const before = streams.length;
    const stream = await openEvents(gateway, get('/agents/echo/events'));
    streams[before]?.write('data: 1\n\n');
    await until(() => stream.events.length === 1, 'the event arrives');
    streams[before]?.destroy();
    expect(await stream.ended).toBe(true);
  });
});

test('at a drain a WebSocket is closed with 1001, and what is on its way arrives', async () => {
  const socket = await openWebSocket(gateway, get());
  const before = streams.length;
  const stream = await openEvents(gateway, get('/agents/echo/events'));
  const closed = closeOf(socket);
  const draining = drain(gateway.app, { timeoutMs: 5_000 });
  expect((await closed).code).toBe(1001);
  streams[before]?.end('data: last\n\n');
  expect(await stream.ended).toBe(false);
  expect(stream.events.at(-1)?.data).toBe('last');
  expect(await draining).toMatchObject({ destroyed: 0, closed: true });
});
