/**
 * An agent of plain sockets: it keeps every byte that reaches it, and reads them as strictly as RFC 9112 allows. What it
 * cannot read in one way only it calls ambiguous.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface Received {
  readonly line: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

export interface RecordingAgent extends AsyncDisposable {
  readonly url: string;
  readonly received: readonly Received[];
  /** Bytes of every connection, in the order in which they came. */
  bytes(): string;
  /** Those that came before `forget`, too. */
  everything(): string;
  /** Why something could be read in two ways, or empty. */
  ambiguous(): string;
  /** Begins anew. */
  forget(): void;
}

const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok';
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)$/;

class Ambiguous extends Error {}

/** Length of the head with its blank line, and what it says; null while it is not whole. */
function readHead(text: string): { head: Omit<Received, 'body'>; length: number } | null {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [line = '', ...lines] = text.slice(0, end).split('\r\n');
  if (!/^[A-Z]+ \/[\x21-\x7e]* HTTP\/1\.1$/.test(line))
    throw new Ambiguous(`request line ${JSON.stringify(line)}`);
  const fields = lines.map((one): [string, string] => {
    const match = FIELD.exec(one);
    if (match === null) throw new Ambiguous(`field ${JSON.stringify(one)}`);
    return [(match[1] as string).toLowerCase(), match[2] as string];
  });
  return { head: { line, fields }, length: end + 4 };
}

/** By the name that servers see which build variables from names. */
const valuesOf = (fields: Received['fields'], name: string): string[] =>
  fields.filter(([field]) => field.replace(/[^a-z0-9]/g, '-') === name).map(([, value]) => value);

function readChunks(text: string): { body: string; length: number } | null {
  let body = '';
  for (let at = 0; ; ) {
    const line = text.indexOf('\r\n', at);
    if (line < 0) return null;
    const size = text.slice(at, line);
    if (!/^[0-9a-fA-F]{1,8}$/.test(size)) throw new Ambiguous(`chunk size ${JSON.stringify(size)}`);
    const length = Number.parseInt(size, 16);
    if (text.length < line + 2 + length + 2) return null;
    if (text.slice(line + 2 + length, line + 4 + length) !== '\r\n')
      throw new Ambiguous('a chunk does not end where it says');
    body += text.slice(line + 2, line + 2 + length);
    at = line + 4 + length;
    if (length === 0) return { body, length: at };
  }
}

/** The first whole request in `text`, or null. */
function readRequest(text: string): { request: Received; length: number } | null {
  const read = readHead(text);
  if (read === null) return null;
  const { head, length } = read;
  if (valuesOf(head.fields, 'host').length !== 1) throw new Ambiguous('not one Host');
  const lengths = valuesOf(head.fields, 'content-length');
  const codings = valuesOf(head.fields, 'transfer-encoding');
  if (lengths.length + codings.length > 1) throw new Ambiguous('more than one length');
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') throw new Ambiguous(`coding ${codings[0]}`);
    const chunks = readChunks(text.slice(length));
    return chunks && { request: { ...head, body: chunks.body }, length: length + chunks.length };
  }
  if (lengths.length === 1 && !/^\d+$/.test(lengths[0] as string))
    throw new Ambiguous(`length ${lengths[0]}`);
  const bytes = Number(lengths[0] ?? 0);
  if (text.length < length + bytes) return null;
  return { request: { ...head, body: text.slice(length, length + bytes) }, length: length + bytes };
}

export async function startRecordingAgent(): Promise<RecordingAgent> {
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  let all = '';
  let ever = '';
  let ambiguous = '';
  const server = createServer((socket) => {
    let held = '';
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      all += text;
      ever += text;
      held += text;
      try {
        for (let read = readRequest(held); read !== null; read = readRequest(held)) {
          received.push(read.request);
          held = held.slice(read.length);
          socket.write(ANSWER);
        }
      } catch (error) {
        if (!(error instanceof Ambiguous)) throw error;
        ambiguous ||= error.message;
        socket.destroy();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    bytes: () => all,
    everything: () => ever,
    ambiguous: () => ambiguous,
    forget() {
      received.length = 0;
      all = '';
      ambiguous = '';
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
