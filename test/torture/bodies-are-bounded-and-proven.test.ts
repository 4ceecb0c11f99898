import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Call, newCaller, signed } from '../e2e/support/callers.ts';
import { answerOnStream, openStream, send } from '../e2e/support/clients.ts';
import { startGateway, type TortureGateway } from './support/gateway.ts';
import { knownCodes } from './support/known-codes.ts';
import { converse, type RawAnswer, takeAnswer } from './support/raw-client.ts';
import { type RecordingAgent, startRecordingAgent } from './support/recording-agent.ts';
import { report, tally, times } from './support/run.ts';

const LIMIT = 262_144;
/** As many whole bodies as may be held at once. */
const HELD_MAX = 4;
const IDLE_MS = 300;
/** A body may take as many silences as this. */
const TOTAL_IDLES = 8;
const alice = newCaller();
const known = knownCodes();
let agent: RecordingAgent;
let gateway: TortureGateway;

beforeAll(async () => {
  agent = await startRecordingAgent();
  const upstreams = `upstreams: ["${agent.url}"], body_idle_timeout_ms: ${IDLE_MS}`;
  gateway = await startGateway(
    [`{ id: held, ${upstreams} }`, `{ id: streamed, ${upstreams}, body: stream }`],
    {
      BODY_BUFFER_BYTES: String(LIMIT),
      BODY_BUFFER_TOTAL_BYTES: String(HELD_MAX * LIMIT),
      BODY_IDLE_TIMEOUT_MS: String(IDLE_MS),
    },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
});
beforeEach(() => agent.forget());

const outcomes: string[] = [];
const startedAt = performance.now();
const BODY = Buffer.from('{"pay":1}');

const post = (id: string, body: Buffer): Call =>
  signed(alice, gateway.origin, { method: 'POST', target: `/agents/${id}/`, body });

function headOf(call: Call, framing: string): string {
  const fields = (call.headers ?? []).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `POST ${call.target} HTTP/1.1\r\nHost: ${new URL(gateway.origin).host}\r\n${fields}${framing}\r\n`;
}

function judge(answer: RawAnswer | undefined): string {
  gateway.stillRuns();
  const outcome = answer === undefined ? 'cut' : answer.code || String(answer.status);
  outcomes.push(outcome);
  if (answer !== undefined && answer.status >= 400) expect(known.get(answer.code)).toBe(answer.status);
  return outcome;
}

interface Feed {
  readonly socket: Socket;
  /** Resolves with the first answer, or undefined when there is none. */
  readonly answer: Promise<RawAnswer | undefined>;
}

async function open(head: string): Promise<Feed> {
  const socket = connect(gateway.port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  let held: Buffer = Buffer.alloc(0);
  const answer = new Promise<RawAnswer | undefined>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      const taken = takeAnswer(held);
      if (taken !== null) resolve(taken.answer);
    });
    socket.once('close', () => resolve(undefined));
  });
  socket.write(head, 'latin1');
  return { socket, answer };
}

/** Writes `piece` again and again until there is an answer, as fast as it is taken or every so many milliseconds. */
async function feedForEver({ socket, answer }: Feed, piece: Buffer, everyMs = 0): Promise<number> {
  let over = false;
  let bytes = 0;
  void answer.then(() => {
    over = true;
  });
  while (!over && socket.writable) {
    const taken = socket.write(piece);
    bytes += piece.length;
    const next =
      everyMs > 0
        ? new Promise((resolve) => setTimeout(resolve, everyMs))
        : new Promise((resolve) => (taken ? setImmediate(resolve) : socket.once('drain', resolve)));
    await Promise.race([next, answer]);
  }
  socket.destroy();
  return bytes;
}

const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const chunk = (data: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);

// A streamed body is as long as its agent takes it, and may last for hours.
describe('a body that is held, over HTTP/1.1', () => {
  test('is cut off when it has no end', async () => {
    const feed = await open(headOf(post('held', BODY), CHUNKED));
    const bytes = await feedForEver(feed, chunk(Buffer.alloc(16_384, 'a')));
    const answer = await feed.answer;
    judge(answer);
    expect(answer).toMatchObject({ status: 413, code: 'body_too_large' });
    // What is read before the connection is cut: the bound, and what may linger.
    expect(bytes).toBeLessThan(4 * 1_048_576);
    expect(agent.received).toEqual([]);
  }, 60_000);

  test('and is a byte at a time is given up in time', async () => {
    const before = performance.now();
    const feed = await open(headOf(post('held', Buffer.alloc(5_000, 'a')), CHUNKED));
    await feedForEver(feed, chunk(Buffer.from('a')), IDLE_MS / 3);
    const outcome = judge(await feed.answer);
    expect(outcome).toBe('body_timeout');
    expect(performance.now() - before).toBeLessThan((TOTAL_IDLES + 3) * IDLE_MS);
    expect(agent.received).toEqual([]);
  }, 60_000);
});

describe.each(['held', 'streamed'])('a body that is %s, over HTTP/1.1', (id) => {
  test.each([
    ['silent from the start', 0],
    ['silent in its middle', 4],
  ])('%s is given up', async (_name, sent) => {
    const feed = await open(headOf(post(id, BODY), `Content-Length: ${BODY.length}\r\n`));
    feed.socket.write(BODY.subarray(0, sent));
    judge(await feed.answer);
    feed.socket.destroy();
    expect(agent.received).toEqual([]);
  });

  test('declared larger than the bound is refused before it is sent', async () => {
    const feed = await open(headOf(post(id, BODY), `Content-Length: ${10 * LIMIT}\r\n`));
    const outcome = judge(await feed.answer);
    feed.socket.destroy();
    if (id === 'held') expect(outcome).toBe('body_too_large');
    expect(agent.received).toEqual([]);
  });

  test.each([
    ['one byte less', BODY.subarray(1)],
    ['one byte more', Buffer.concat([BODY, Buffer.from(' ')])],
    ['another byte', Buffer.from('{"pay":9}')],
    ['nothing', Buffer.alloc(0)],
    ['another order', Buffer.from('}1:"yap"{')],
  ])('with %s than was signed reaches nobody whole', async (_name, sent) => {
    for (const [framing, bytes] of [
      [`Content-Length: ${sent.length}\r\n`, sent],
      [CHUNKED, Buffer.concat([...(sent.length > 0 ? [chunk(sent)] : []), Buffer.from('0\r\n\r\n')])],
    ] as const) {
      agent.forget();
      const { answers } = await converse(gateway.port, [headOf(post(id, BODY), framing), bytes]);
      const outcome = judge(answers[0]);
      expect(outcome).not.toBe('200');
      if (id === 'held') expect(answers[0]?.code).toMatch(/^(?:digest_mismatch|coverage_insufficient)$/);
      expect(agent.received).toEqual([]);
    }
  });

  test.each([
    ['a digest of nothing', ''],
    ['a digest that is none', 'sha-256=abc'],
    ['a digest of bytes that are too few', 'sha-256=:YWJj:'],
    ['only a digest that is not supported', 'md5=:YWJj:'],
    ['a good digest and a bad one', ''],
  ])('with %s is refused', async (name, digest) => {
    const good = post(id, BODY).headers?.find(([field]) => field === 'content-digest')?.[1] ?? '';
    const wrong =
      'sha-512=:z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==:';
    const field = name === 'a good digest and a bad one' ? `${good}, ${wrong}` : digest;
    // Signed as it stands, so that it is the digest that fails and not its signature.
    const call = signed(alice, gateway.origin, {
      method: 'POST',
      target: `/agents/${id}/`,
      headers: [['content-digest', field]],
    });
    const { answers } = await converse(gateway.port, [
      headOf(call, `Content-Length: ${BODY.length}\r\n`) + BODY.toString(),
    ]);
    expect(judge(answers[0])).toMatch(/^(?:digest_|component_|coverage_|structured_)/);
    expect(agent.received).toEqual([]);
  });
});

describe('a body that is held, over HTTP/2', () => {
  test('is cut off when it has no end', async () => {
    const session = connectHttp2(gateway.origin);
    session.on('error', () => session.destroy());
    await once(session, 'connect');
    const stream = openStream(session, gateway, post('held', BODY));
    const closed = new Promise((resolve) => stream.once('close', resolve));
    const answer = answerOnStream(stream).catch(() => undefined);
    let over = false;
    void answer.then(() => {
      over = true;
    });
    while (!over && !stream.destroyed) {
      const taken = stream.write(Buffer.alloc(16_384, 'a'));
      await Promise.race([
        new Promise((resolve) => (taken ? setImmediate(resolve) : stream.once('drain', resolve))),
        answer,
        closed,
      ]);
    }
    const { status, code } = (await answer) ?? { status: 0, code: 'reset' };
    outcomes.push(code);
    expect({ status, code }).toEqual({ status: 413, code: 'body_too_large' });
    session.destroy();
    gateway.stillRuns();
    expect(agent.received).toEqual([]);
  }, 60_000);
});

describe.each(['held', 'streamed'])('a body that is %s, over HTTP/2', (id) => {
  test('and is not what was signed reaches nobody whole', async () => {
    for (const body of [BODY.subarray(1), Buffer.from('{"pay":9}')]) {
      const answer = await send(gateway, { ...post(id, BODY), body }, 'h2').catch(() => ({
        status: 0,
        code: 'reset',
      }));
      outcomes.push(answer.code);
      expect(answer.status).not.toBe(200);
      expect(agent.received).toEqual([]);
    }
  });
});

test('many that hold their place leave room again, and grow no memory', async () => {
  const beforeMb = gateway.rssMb();
  for (let round = 0; round < times(3, 30); round += 1) {
    const feeds = await Promise.all(
      Array.from({ length: 100 }, () =>
        open(headOf(post('held', Buffer.alloc(LIMIT, 'a')), `Content-Length: ${LIMIT}\r\n`)),
      ),
    );
    for (const { socket } of feeds) socket.write(Buffer.alloc(LIMIT - 1, 'a'));
    const found = await Promise.all(feeds.map(async (feed) => judge(await feed.answer)));
    for (const { socket } of feeds) socket.destroy();
    // Those that found room ran into their time, and on a slow machine gave it to those who came late; the others were turned away.
    expect(found.filter((outcome) => outcome === 'body_timeout').length).toBeLessThan(found.length / 2);
    expect(found).toContain('body_memory_exhausted');
    expect(found.filter((outcome) => !outcome.startsWith('body_'))).toEqual([]);
  }
  const served = await send(gateway, post('held', Buffer.alloc(LIMIT, 'a')));
  expect(served.status).toBe(200);
  expect(gateway.rssMb() - beforeMb).toBeLessThan(96);
}, 300_000);

afterAll(() => report('hostile bodies', outcomes.length, startedAt, tally(outcomes)));
