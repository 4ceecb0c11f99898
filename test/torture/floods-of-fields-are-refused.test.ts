import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgent, type TestAgent } from '../e2e/support/agent.ts';
import { newCaller, signed } from '../e2e/support/callers.ts';
import { CORPUS } from '../trust/wire/support/hostile-fields.ts';
import { NOW } from '../trust/wire/support/messages.ts';
import { startGateway, type TortureGateway } from './support/gateway.ts';
import { block, END_HEADERS, END_STREAM, frame, HEADERS, sendFrames } from './support/http2-client.ts';
import { knownCodes } from './support/known-codes.ts';
import { toBytes } from './support/mutations.ts';
import { askAll } from './support/raw-client.ts';
import { report, tally, times } from './support/run.ts';

const alice = newCaller();
const known = knownCodes();
let agent: TestAgent;
let gateway: TortureGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await startGateway([`{ id: echo, upstreams: ["${agent.url}"] }`]);
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await agent.stop();
});

/** Name, value pairs without Host. */
const fieldsOf = (name: string): [string, string][] => {
  const raw = CORPUS[name]?.rawHeaders ?? [];
  const created = `created=${Math.floor(Date.now() / 1_000)}`;
  const fields: [string, string][] = [];
  for (let at = 2; at + 1 < raw.length; at += 2)
    fields.push([raw[at] ?? '', (raw[at + 1] ?? '').replace(`created=${NOW}`, created)]);
  return fields;
};

const names = Object.keys(CORPUS);
const outcomes: string[] = [];
const startedAt = performance.now();

test.each(names)('%s, over HTTP/1.1 and HTTP/2', async (name) => {
  const authority = `127.0.0.1:${gateway.port}`;
  const request = toBytes({
    line: 'GET /agents/echo/ HTTP/1.1',
    fields: [['Host', authority], ...fieldsOf(name)],
    body: Buffer.alloc(0),
  });
  const often = times(10, 1_000);
  const answers = await askAll(
    gateway.port,
    Array.from({ length: often }, () => request),
    () => false,
  );
  gateway.stillRuns();
  for (const answer of answers) {
    outcomes.push(answer?.code ?? 'cut');
    expect(answer?.status).toBeGreaterThanOrEqual(400);
    expect(answer?.status).toBeLessThan(500);
    expect(known.get(answer?.code ?? '')).toBe(answer?.status);
  }
  const block2 = block([
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/agents/echo/'],
    [':authority', authority],
    ...fieldsOf(name).map(([field, value]): [string, string] => [field.toLowerCase(), value]),
  ]);
  const frames = [];
  for (let at = 0; at < block2.length; at += 16_000) {
    const last = at + 16_000 >= block2.length ? END_HEADERS : 0;
    frames.push(
      frame(at === 0 ? HEADERS : 9, last | (at === 0 ? END_STREAM : 0), 1, block2.subarray(at, at + 16_000)),
    );
  }
  expect((await sendFrames(gateway.port, frames)).outcome).not.toBe('200');
  gateway.stillRuns();
});

test('nothing of it reached the agent, and a caller beside it is served', async () => {
  expect(agent.begun()).toBe(0);
  const {
    method,
    target,
    headers = [],
  } = signed(alice, gateway.origin, { method: 'GET', target: '/agents/echo/' });
  const good = toBytes({
    line: `${method} ${target} HTTP/1.1`,
    fields: [['Host', new URL(gateway.origin).host], ...headers],
    body: Buffer.alloc(0),
  });
  const [answer] = await askAll(gateway.port, [good], () => true);
  expect(answer?.status).toBe(200);
});

afterAll(() => report('floods of signature fields', outcomes.length, startedAt, tally(outcomes)));
