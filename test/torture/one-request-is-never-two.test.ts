import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newCaller, signed } from '../e2e/support/callers.ts';
import { startGateway, type TortureGateway } from './support/gateway.ts';
import { type Parts, SHAPES } from './support/http1-shapes.ts';
import { knownCodes } from './support/known-codes.ts';
import { converse } from './support/raw-client.ts';
import { type RecordingAgent, startRecordingAgent } from './support/recording-agent.ts';
import { report, TORTURE, tally } from './support/run.ts';

const alice = newCaller();
const known = knownCodes();
let agent: RecordingAgent;
let gateway: TortureGateway;

beforeAll(async () => {
  agent = await startRecordingAgent();
  const upstreams = `upstreams: ["${agent.url}"]`;
  gateway = await startGateway(
    [
      `{ id: open, ${upstreams}, authentication: none, body_idle_timeout_ms: 300 }`,
      `{ id: signed, ${upstreams} }`,
      `{ id: streamed, ${upstreams}, body: stream, body_idle_timeout_ms: 300 }`,
    ],
    // Bodies that never end are given up soon.
    { BODY_IDLE_TIMEOUT_MS: '300', HEADERS_TIMEOUT_MS: '1000' },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
});
beforeEach(() => agent.forget());

const ALL_MODES = ['open', 'signed', 'streamed'] as const;
/** Most of the time goes into connections that the gateway lets linger. */
const MODES = TORTURE ? ALL_MODES : ALL_MODES.slice(0, 2);

function partsOf(mode: (typeof ALL_MODES)[number], method: string, body: string): Parts {
  const host = `127.0.0.1:${gateway.port}`;
  const path = `/agents/${mode}/start?a=b`;
  const call = {
    method,
    target: path,
    ...(body === '' ? {} : { body: Buffer.from(body) }),
  };
  const { headers = [] } = mode === 'open' ? {} : signed(alice, `http://${host}`, call);
  return {
    path,
    host,
    fields: headers.map(([name, value]) => `${name}: ${value}\r\n`).join(''),
    smuggled: `GET /agents/open/smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  };
}

const outcomes: string[] = [];
const startedAt = performance.now();

describe.each(MODES)('over HTTP/1.1 to an agent that is called %s', (mode) => {
  test.each(SHAPES)('%s', async (_name, expected, bytesOf) => {
    // Signed for what an honest reader would take it for.
    const trial = bytesOf(partsOf('open', 'GET', ''));
    const method = /^\s*POST /.test(trial) ? 'POST' : 'GET';
    const bytes = bytesOf(partsOf(mode, method, method === 'POST' ? 'hello' : ''));
    const { answers } = await converse(gateway.port, [bytes]);
    gateway.stillRuns();
    const [first] = answers;
    outcomes.push(first === undefined ? 'cut' : first.code || String(first.status));

    expect(agent.ambiguous()).toBe('');
    expect(agent.bytes()).not.toContain('smuggled');
    expect(agent.bytes()).not.toContain('other.example');
    expect(agent.bytes()).not.toContain('did:web:root');
    expect(answers.filter(({ status }) => status < 300).length).toBeLessThanOrEqual(1);
    for (const { status, code } of answers.filter((one) => one.status >= 300))
      expect(known.get(code)).toBe(status);
    if (expected === 'refused') {
      // A body that is not held may begin before it turns out to be none; the agent then never gets it whole.
      expect(agent.received).toEqual([]);
      if (mode === 'signed') expect(agent.bytes()).toBe('');
      return;
    }
    expect(first?.status).toBe(200);
    expect(agent.received).toMatchObject([{ line: `${method} /start?a=b HTTP/1.1`, body: expected }]);
    const dids = agent.received[0]?.fields.filter(([name]) => name === 'x-sage-verified-did');
    expect(dids).toEqual(mode === 'open' ? [] : [['x-sage-verified-did', alice.did]]);
  });
});

test('in whatever pieces the bytes arrive, the agent gets the same', async () => {
  const bytes = SHAPES.filter(([, expected]) => expected === 'hello').map(([, , bytesOf]) =>
    bytesOf(partsOf('open', 'POST', 'hello')),
  );
  for (const one of bytes) {
    agent.forget();
    const { answers } = await converse(gateway.port, one.split(''));
    expect(answers[0]?.status).toBe(200);
    expect(agent.received).toMatchObject([{ body: 'hello' }]);
    expect(agent.ambiguous()).toBe('');
  }
});

test('nothing was served later, behind an answer that closed its connection', async () => {
  const parts = partsOf('open', 'GET', '');
  const { answers } = await converse(gateway.port, [
    `GET ${parts.path} HTTP/1.1\r\nHost: ${parts.host}\r\n\r\n`,
  ]);
  expect(answers[0]?.status).toBe(200);
  expect(agent.everything()).not.toContain('smuggled');
});

afterAll(() => report('ambiguous requests over HTTP/1.1', outcomes.length, startedAt, tally(outcomes)));
