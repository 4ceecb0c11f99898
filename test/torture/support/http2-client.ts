/** Frames of HTTP/2 as bytes (RFC 9113, RFC 7541), so that a client may say what no library lets it say. */
import { once } from 'node:events';
import { connect } from 'node:net';

export const DATA = 0;
export const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const GOAWAY = 7;
export const CONTINUATION = 9;
export const END_STREAM = 1;
export const END_HEADERS = 4;

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** Nothing here waits longer than the gateway's own time-outs. */
const SILENCE_MS_MAX = 10_000;

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** An integer of HPACK with a prefix of 7 bits (RFC 7541, section 5.1). */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.of(value);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** A field as a literal without indexing, neither part coded by Huffman; texts are latin1. */
export function literal(name: string, value: string): Buffer {
  const [n, v] = [Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1')];
  return Buffer.concat([Buffer.of(0), integer(n.length), n, integer(v.length), v]);
}

/** A literal that enters the dynamic table, there at index 62. */
export function indexedLiteral(name: string, value: string): Buffer {
  const bytes = literal(name, value);
  bytes[0] = 0x40;
  return bytes;
}

export type Fields = readonly (readonly [name: string, value: string])[];

export const block = (fields: Fields): Buffer =>
  Buffer.concat(fields.map(([name, value]) => literal(name, value)));

export interface StreamOutcome {
  /** `200`, `other` for another status, `reset`, `goaway`, `closed`, or `silent`. */
  readonly outcome: '200' | 'other' | 'reset' | 'goaway' | 'closed' | 'silent';
  /** Body of the answer. */
  readonly body: string;
}

/** What the frames of a server say about one stream; null while it is not over. */
function judge(data: Buffer, stream: number): StreamOutcome | null {
  let status: '200' | 'other' | null = null;
  let body = '';
  for (let at = 0; at + 9 <= data.length; ) {
    const length = data.readUIntBE(at, 3);
    if (data.length < at + 9 + length) return null;
    const [type, flags, id] = [data[at + 3], data[at + 4] ?? 0, data.readUInt32BE(at + 5) & 0x7fff_ffff];
    const payload = data.subarray(at + 9, at + 9 + length);
    if (type === GOAWAY && payload.readUInt32BE(4) !== 0) return { outcome: 'goaway', body };
    if (id === stream) {
      // The status stands first, and 200 has an index of its own.
      if (type === HEADERS) status ??= payload[0] === 0x88 ? '200' : 'other';
      if (type === DATA) body += payload.toString('utf8');
      if (type === RST_STREAM) return { outcome: status ?? 'reset', body };
      if ((type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0 && status !== null)
        return { outcome: status, body };
    }
    at += 9 + length;
  }
  return null;
}

/** Sends the preface, empty SETTINGS and `frames`; resolves with what becomes of stream 1. */
export async function sendFrames(port: number, frames: readonly Buffer[]): Promise<StreamOutcome> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  let held: Buffer = Buffer.alloc(0);
  let outcome: StreamOutcome | null = null;
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    outcome ??= judge(held, 1);
    if (outcome !== null) socket.destroy();
  });
  let silent = false;
  socket.setTimeout(SILENCE_MS_MAX, () => {
    silent = true;
    socket.destroy();
  });
  const over = new Promise((resolve) => socket.once('close', resolve));
  socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), frame(SETTINGS, 1, 0)]));
  for (const one of frames) {
    if (!socket.writable) break;
    // The gateway may close the connection while it is written to, which is an outcome too.
    if (!socket.write(one)) await Promise.race([once(socket, 'drain').catch(() => undefined), over]);
  }
  await over;
  return outcome ?? { outcome: silent ? 'silent' : 'closed', body: '' };
}
