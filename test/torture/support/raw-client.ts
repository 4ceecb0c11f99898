/** Bytes as they are over HTTP/1.1, and every answer to them. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  /** The problem document's code; empty for what is none. */
  readonly code: string;
}

/** No answer takes longer, not even the gateway's own time-outs. */
const SILENCE_MS_MAX = 15_000;

function codeOf(head: string, body: string): string {
  if (!/^content-type: application\/problem\+json\r?$/im.test(head)) return '';
  try {
    return String((JSON.parse(body) as { code?: unknown }).code);
  } catch {
    return 'no JSON';
  }
}

/** The first whole answer in `data` and what follows it, or null. */
export function takeAnswer(data: Buffer): { answer: RawAnswer; rest: Buffer } | null {
  const headEnd = data.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const head = data.toString('latin1', 0, headEnd);
  const bodyAt = headEnd + 4;
  const length = /^content-length: (\d+)\r?$/im.exec(head)?.[1];
  let end = bodyAt + Number(length ?? 0);
  if (length === undefined && /^transfer-encoding: chunked\r?$/im.test(head)) {
    const last = data.indexOf('0\r\n\r\n', bodyAt);
    if (last < 0) return null;
    end = last + 5;
  }
  if (data.length < end) return null;
  const body = data.toString('utf8', bodyAt, end);
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
  return { answer: { status, head, body, code: codeOf(head, body) }, rest: data.subarray(end) };
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** What a connection says until it is closed; `closed` is false when it fell silent instead. */
export interface Conversation {
  readonly answers: readonly RawAnswer[];
  /** Bytes behind the last whole answer. */
  readonly rest: string;
  readonly closed: boolean;
}

function readAll(data: Buffer): { answers: RawAnswer[]; rest: string } {
  const answers: RawAnswer[] = [];
  let held = data;
  for (let taken = takeAnswer(held); taken !== null; taken = takeAnswer(held)) {
    answers.push(taken.answer);
    held = taken.rest;
  }
  return { answers, rest: held.toString('latin1') };
}

/** How long an answered connection is listened to for answers that nobody asked for. */
const QUIET_MS = 25;
const CLOSES = /^connection: close\r?$/im;

/**
 * Sends bytes over a connection of their own, and reads until the gateway closes it or has nothing more to say.
 * @param pieces written one after the other, each in a packet of its own
 */
export async function converse(port: number, pieces: readonly (string | Buffer)[]): Promise<Conversation> {
  const socket = await open(port);
  let held: Buffer = Buffer.alloc(0);
  let closed = true;
  let written = false;
  const leave = (): void => {
    closed = false;
    socket.destroy();
  };
  const quieten = (): void => {
    const last = readAll(held).answers.at(-1);
    // Where the gateway has said that it closes, it must: until then it may still serve what it was sent.
    if (last !== undefined && !CLOSES.test(last.head)) socket.setTimeout(QUIET_MS);
  };
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    // A connection that waits for the rest of a request is ended by the gateway, in its own time.
    if (written) quieten();
  });
  socket.setTimeout(SILENCE_MS_MAX, leave);
  const over = new Promise((resolve) => socket.once('close', resolve));
  for (const [at, piece] of pieces.entries()) {
    if (at > 0) await new Promise((resolve) => setImmediate(resolve));
    if (socket.writable) socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
  }
  written = true;
  quieten();
  await over;
  return { ...readAll(held), closed };
}

/**
 * Sends each of many requests once, over connections that are kept where the gateway keeps them, and resolves with the
 * first answer to each; null when the connection was closed without one.
 * @param isLast whether a request leaves its connection in doubt, since it may be taken for more than one
 */
export async function askAll(
  port: number,
  requests: readonly Buffer[],
  isLast: (request: Buffer) => boolean,
  connections = 16,
): Promise<(RawAnswer | null)[]> {
  const answers: (RawAnswer | null)[] = requests.map(() => null);
  let next = 0;
  const loop = async (): Promise<void> => {
    while (next < requests.length)
      await useConnection(port, () => (next < requests.length ? next++ : -1), requests, answers, isLast);
  };
  await Promise.all(Array.from({ length: Math.min(connections, requests.length) }, loop));
  return answers;
}

/** One connection, for as long as it lasts. A request whose answer has bytes behind it is its last. */
async function useConnection(
  port: number,
  take: () => number,
  requests: readonly Buffer[],
  answers: (RawAnswer | null)[],
  isLast: (request: Buffer) => boolean,
): Promise<void> {
  const socket = await open(port);
  let current = -1;
  let held: Buffer = Buffer.alloc(0);
  const send = (): void => {
    current = take();
    if (current < 0) socket.end();
    else socket.write(requests[current] as Buffer);
  };
  socket.on('data', (chunk: Buffer) => {
    if (current < 0) return;
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const taken = takeAnswer(held);
    if (taken === null) return;
    answers[current] = taken.answer;
    held = taken.rest;
    if (held.length > 0 || isLast(requests[current] as Buffer) || CLOSES.test(taken.answer.head)) {
      current = -1;
      socket.end();
    } else send();
  });
  socket.setTimeout(SILENCE_MS_MAX, () => socket.destroy());
  const over = new Promise((resolve) => socket.once('close', resolve));
  send();
  await over;
}
