import { once } from 'node:events';
import { expect, test } from 'vitest';
import { codeOf, HANDSHAKE, head, openSocket, sendRaw, startPath, statusOf } from './support.ts';

/** Twice as many failures as open a circuit. */
const FAILURES = 10;

test('an agent that hangs up on an unfinished upload is not taken for broken', async () => {
  const path = await startPath();
  for (let upload = 0; upload < FAILURES; upload++) {
    const socket = await openSocket(path.port);
    socket.write(`${head(path, 'POST /agents/open/impatient', [], ['Content-Length: 100'])}begun`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(codeOf(answer.toString('latin1'))).toBe('upstream_unreachable');
    socket.destroy();
  }
  expect(path.app.circuits.list().every(({ state }) => state === 'closed')).toBe(true);
  const answer = await sendRaw(path.port, head(path, 'GET /agents/open/x', [], ['Connection: close']));
  expect(statusOf(answer)).toBe(200);
});

test('handshakes where there is no WebSocket are not taken for failures', async () => {
  const path = await startPath();
  for (let handshake = 0; handshake < FAILURES; handshake++) {
    const answer = await sendRaw(path.port, head(path, 'GET /agents/open/plain', [], HANDSHAKE));
    expect([statusOf(answer), codeOf(answer)]).toEqual([502, 'websocket_upstream_protocol_error']);
  }
  const answer = await sendRaw(path.port, head(path, 'GET /agents/open/x', [], ['Connection: close']));
  expect(statusOf(answer)).toBe(200);
});
