import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { sendRaw } from '../listener/support.ts';
import { type Agent, type Gateway, refusalOf, startAgent, startGateway } from './support.ts';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
async function gatewayTo(port: number, handshakeTimeoutMs = 2_000): Promise<Gateway> {
  const gateway = await startGateway(port, { handshakeTimeoutMs });
  open.push(gateway.app);
  return gateway;
}
async function agentAnswering(status: number, headers: Record<string, string> = {}): Promise<Agent> {
  const agent = await startAgent(() => undefined, {
    refuse: (_req, res) => res.writeHead(status, headers).end('secret of the inside'),
  });
  open.push(agent);
  return agent;
}

test.each([
  [401, 401, 'websocket_refused'],
  [403, 403, 'websocket_refused'],
  [404, 404, 'websocket_refused'],
  [426, 426, 'websocket_refused'],
  [429, 429, 'websocket_refused'],
  [200, 502, 'websocket_upstream_protocol_error'],
  [302, 502, 'websocket_upstream_protocol_error'],
  [500, 502, 'websocket_upstream_protocol_error'],
  [503, 503, 'websocket_upstream_unavailable'],
  [504, 504, 'websocket_upstream_timeout'],
])('the agent answers %d: the caller gets %d', async (theirs, ours, code) => {
  const agent = await agentAnswering(theirs, {
    'www-authenticate': 'Basic',
    'retry-after': '7',
    location: '/x',
  });
  const gateway = await gatewayTo(agent.port);
  const answer = await refusalOf(gateway.port);
  expect([answer.status, answer.problem.code, answer.problem.status]).toEqual([ours, code, ours]);
  expect(answer.headers['content-type']).toBe('application/problem+json');
  if (code === 'websocket_refused') expect(answer.headers['www-authenticate']).toBe('Basic');
  if (ours === 429 || ours === 503) expect(answer.headers['retry-after']).toBe('7');
});

test('nobody listens: 502', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const answer = await refusalOf((await gatewayTo(port)).port);
  expect([answer.status, answer.problem.code]).toEqual([502, 'websocket_upstream_unreachable']);
});

describe('an agent that is no WebSocket server', () => {
  async function rawAgent(onData: (socket: import('node:net').Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('data', () => onData(socket));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push({
      close: async () => {
        server.close();
        await once(server, 'close');
      },
    });
    return (server.address() as AddressInfo).port;
  }
  test.each([
    ['hangs up', '', 'websocket_upstream_unreachable'],
    ['talks nonsense', 'nonsense\r\n\r\n', 'websocket_upstream_protocol_error'],
    [
      'proves nothing',
      'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n',
      'websocket_upstream_protocol_error',
    ],
  ])('%s: 502', async (_name, text, code) => {
    const gateway = await gatewayTo(await rawAgent((socket) => socket.end(text)));
    const answer = await refusalOf(gateway.port);
    expect([answer.status, answer.problem.code]).toEqual([502, code]);
  });
  test('drips its answer: 504', async () => {
    const port = await rawAgent((socket) => {
      socket.write('HTTP/1.1 101 x\r\nX: ');
      const timer = setInterval(() => socket.write('a'), 20);
      socket.once('close', () => clearInterval(timer));
    });
    const answer = await refusalOf((await gatewayTo(port, 150)).port);
    expect([answer.status, answer.problem.code]).toEqual([504, 'websocket_upstream_timeout']);
  });
});

describe('a handshake of the caller that is refused before the agent is asked', () => {
  const head = (extra: string): string =>
    `GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${extra}\r\n`;
  const KEY = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
  const VERSION = 'Sec-WebSocket-Version: 13\r\n';
  test.each([
    ['no key', VERSION, 400, 'websocket_handshake_malformed'],
    ['a short key', `${VERSION}Sec-WebSocket-Key: AAAA\r\n`, 400, 'websocket_handshake_malformed'],
    ['another version', `${KEY}Sec-WebSocket-Version: 8\r\n`, 426, 'websocket_version_unsupported'],
    [
      'a repeated subprotocol',
      `${KEY}${VERSION}Sec-WebSocket-Protocol: a, a\r\n`,
      400,
      'websocket_handshake_malformed',
    ],
    [
      'many subprotocols',
      `${KEY}${VERSION}Sec-WebSocket-Protocol: ${Array.from({ length: 17 }, (_, i) => `p${i}`).join()}\r\n`,
      400,
      'websocket_handshake_malformed',
    ],
    ['a body', `${KEY}${VERSION}Content-Length: 5\r\n`, 400, 'framing_ambiguous'],
  ])('%s', async (_name, extra, status, code) => {
    const agent = await startAgent(() => undefined);
    open.push(agent);
    const gateway = await gatewayTo(agent.port);
    const answer = await sendRaw(gateway.port, head(extra));
    expect([answer.status, answer.problem.code, agent.requests.length]).toEqual([status, code, 0]);
    if (status === 426) expect(answer.text.toLowerCase()).toContain('sec-websocket-version: 13');
  });
});

test('a caller that goes away meanwhile leaves nothing open at the agent', async () => {
  const agent = await startAgent(() => undefined);
  open.push(agent);
  const gateway = await gatewayTo(agent.port);
  const { connect } = await import('node:net');
  const socket = connect(gateway.port, '127.0.0.1');
  const connected = once(agent.server, 'connection');
  socket.write(
    'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  const [upstream] = (await connected) as [import('ws').WebSocket];
  socket.destroy();
  await once(upstream, 'close');
  expect(agent.server.clients.size).toBe(0);
});
