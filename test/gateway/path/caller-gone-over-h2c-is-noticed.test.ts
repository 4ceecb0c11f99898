import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { openSocket, type Path, startPath } from './support.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const SETTINGS = 4;
const HEADERS = 1;
const END_HEADERS = 4;

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** A literal field without indexing (RFC 7541, section 6.2.2); both parts are shorter than 127 bytes. */
function literal(name: string, value: string): Buffer {
  const parts = [name, value].map((text) =>
    Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]),
  );
  return Buffer.concat([Buffer.from([0]), ...parts]);
}

/** A session with one upload begun and never ended. */
async function beginUpload(path: Path): Promise<Socket> {
  const head = Buffer.concat([
    literal(':method', 'POST'),
    literal(':scheme', 'http'),
    literal(':authority', `127.0.0.1:${path.port}`),
    literal(':path', '/agents/open/upload'),
  ]);
  const socket = await openSocket(path.port);
  socket.resume();
  socket.write(
    Buffer.concat([
      PREFACE,
      frame(SETTINGS, 0, 0, Buffer.alloc(0)),
      frame(HEADERS, END_HEADERS, 1, head),
      frame(0, 0, 1, Buffer.from('begun')),
    ]),
  );
  return socket;
}

/** Polled, because nothing tells of it from outside. */
async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !holds(); tries++) await new Promise((next) => setTimeout(next, 10));
  expect(holds()).toBe(true);
}

test.each([
  ['closes', (socket: Socket) => socket.end()],
  ['resets', (socket: Socket) => socket.resetAndDestroy()],
])('when he %s his connection, what he had open ends', async (_how, leave) => {
  const path = await startPath();
  const socket = await beginUpload(path);
  await until(() => path.app.exchanges.size === 1);
  const closed = once(socket, 'close');
  leave(socket);
  await path.recorded(1);
  await closed;
  expect(path.records[0]).toMatchObject({ aborted: true, status: 0, transport: 'h2' });
  await until(() => path.app.connections.socketsOpen === 0 && path.app.exchanges.size === 0);
});
