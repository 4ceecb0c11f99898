import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import {
  type Answer,
  answerOnStream,
  answerTo,
  openHttp1,
  openSession,
  openStream,
  send,
  TRANSPORTS,
  type Transport,
} from './support/clients.ts';

const LIMIT_BYTES = 65_536;
const IDLE_MS = 300;
/** The smallest budget that can be configured. */
const BUDGET_BYTES = 1_048_576;
const alice = newCaller();
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    env: {
      BODY_BUFFER_BYTES: String(LIMIT_BYTES),
      BODY_BUFFER_TOTAL_BYTES: String(BUDGET_BYTES),
      BODY_IDLE_TIMEOUT_MS: String(IDLE_MS),
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const post = (body: Buffer): Call =>
  signed(alice, gateway.origin, { method: 'POST', target: '/agents/echo/', body });

interface Upload {
  readonly answer: Promise<Answer>;
  write(chunk: Buffer): void;
  close(): void;
}

/** Sends the head and leaves the body to the test. */
async function openUpload(call: Call, transport: Transport, length: number | null): Promise<Upload> {
  const sized: Call = {
    ...call,
    headers: [
      ...(call.headers ?? []),
      ...(length === null ? [] : ([['content-length', String(length)]] as const)),
    ],
  };
  if (transport === 'http/1.1') {
    const request = openHttp1(gateway, sized);
    const answer = answerTo(request);
    answer.catch(() => undefined);
    request.flushHeaders();
    await once(request, 'socket');
    return { answer, write: (chunk) => void request.write(chunk), close: () => request.destroy() };
  }
  const session = await openSession(gateway);
  const stream = openStream(session, gateway, sized);
  const answer = answerOnStream(stream);
  answer.catch(() => undefined);
  return { answer, write: (chunk) => void stream.write(chunk), close: () => session.destroy() };
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('a body of the allowed size passes', async () => {
    expect(await send(gateway, post(Buffer.alloc(LIMIT_BYTES, 'a')), transport)).toMatchObject({
      status: 200,
    });
  });

  test('one that says that it is larger is refused before it is sent', async () => {
    const body = Buffer.alloc(LIMIT_BYTES + 1, 'a');
    const upload = await openUpload(post(body), transport, body.length);
    expect(await upload.answer).toMatchObject({ status: 413, code: 'body_too_large' });
    upload.close();
  });

  test('one that turns out to be larger is refused when it does', async () => {
    const body = Buffer.alloc(2 * LIMIT_BYTES, 'a');
    const upload = await openUpload(post(body), transport, null);
    upload.write(body.subarray(0, LIMIT_BYTES));
    upload.write(body.subarray(LIMIT_BYTES));
    expect(await upload.answer).toMatchObject({ status: 413, code: 'body_too_large' });
    upload.close();
  });

  test('one that falls silent is given up', async () => {
    const body = Buffer.alloc(1_000, 'a');
    const before = agent.begun();
    const startedAt = performance.now();
    const upload = await openUpload(post(body), transport, body.length);
    upload.write(body.subarray(0, 10));
    expect(await upload.answer).toMatchObject({ status: 408, code: 'body_timeout' });
    expect(performance.now() - startedAt).toBeGreaterThan(IDLE_MS - 20);
    expect(agent.begun()).toBe(before);
    upload.close();
  });

  test('more bodies at once than memory is set aside for are refused, and room comes back', async () => {
    const held: Upload[] = [];
    const body = Buffer.alloc(LIMIT_BYTES, 'a');
    // One short of the budget in declared bytes, each with all but its last byte sent.
    for (let sent = 0; sent < BUDGET_BYTES; sent += LIMIT_BYTES) {
      const upload = await openUpload(post(body), transport, LIMIT_BYTES);
      upload.write(body.subarray(1));
      held.push(upload);
    }
    // Their bytes arrive when they arrive; what is refused then is refused at once.
    const refused = await until(
      async () => {
        const answer = await send(gateway, post(body), transport);
        return answer.status === 200 ? null : answer;
      },
      'the budget is spent',
      2_000,
    );
    expect(refused).toMatchObject({ status: 503, code: 'body_memory_exhausted' });
    for (const upload of held) upload.close();
    const served = await until(
      async () => {
        const answer = await send(gateway, post(body), transport);
        return answer.status === 200 ? answer : null;
      },
      'there is room again',
      2_000,
    );
    expect(served.status).toBe(200);
  });
});
