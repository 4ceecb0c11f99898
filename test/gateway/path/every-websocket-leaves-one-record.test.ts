import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { HANDSHAKE, head, newCaller, openSocket, type Path, signed, startPath } from './support.ts';

const ended = (path: Path) =>
  path.records.map(({ status, code, aborted, transport }) => ({ status, code, aborted, transport }));

function handshake(path: Path, target: string): string {
  const fields = signed(path, newCaller(), { method: 'GET', target });
  return head(path, `GET ${target}`, fields, HANDSHAKE);
}

test('a conversation is one record, published when it ends', async () => {
  const path = await startPath();
  const fields = signed(path, newCaller(), { method: 'GET', target: '/agents/signed/chat' });
  const socket = new WebSocket(`${path.origin.replace('http', 'ws')}/agents/signed/chat`, {
    headers: Object.fromEntries(fields),
  });
  await once(socket, 'open');
  expect(path.records).toEqual([]);
  expect(path.app.exchanges.size).toBe(1);
  socket.close(1000);
  await path.recorded(1);
  expect(ended(path)).toEqual([{ status: 101, code: '', aborted: false, transport: 'websocket' }]);
  expect(path.app.exchanges.size).toBe(0);
});

test('a caller who leaves while the agent is asked is recorded as one who left', async () => {
  const path = await startPath();
  const socket = await openSocket(path.port);
  socket.write(handshake(path, '/agents/signed/held'));
  await path.handshakesHeld(1);
  socket.resetAndDestroy();
  await path.recorded(1);
  path.releaseHandshakes();
  expect(ended(path)).toEqual([{ status: 0, code: '', aborted: true, transport: 'websocket' }]);
  expect(path.app.exchanges.size).toBe(0);
});

test('a handshake that the drain overtakes is recorded', async () => {
  const path = await startPath();
  const socket = await openSocket(path.port);
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
  });
  socket.write(handshake(path, '/agents/signed/held'));
  await path.handshakesHeld(1);
  // What the plugin does first of all when the server is closed.
  path.app.websocketServer.close();
  path.releaseHandshakes();
  await once(socket, 'close');
  await path.recorded(1);
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  expect(ended(path)).toEqual([{ status: 0, code: '', aborted: true, transport: 'websocket' }]);
  expect(path.app.exchanges.size).toBe(0);
});
