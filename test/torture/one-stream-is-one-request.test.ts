import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newCaller, signed } from '../e2e/support/callers.ts';
import { startGateway, type TortureGateway } from './support/gateway.ts';
import { sendFrames } from './support/http2-client.ts';
import { AFTER_THE_END, FLOODS, MARK, type Parts, SHAPES } from './support/http2-shapes.ts';
import { knownCodes } from './support/known-codes.ts';
import { type RecordingAgent, startRecordingAgent } from './support/recording-agent.ts';
import { report, tally } from './support/run.ts';

const MEMORY_MB_MAX = 64;
const alice = newCaller();
const known = knownCodes();
let agent: RecordingAgent;
let gateway: TortureGateway;

beforeAll(async () => {
  agent = await startRecordingAgent();
  const upstreams = `upstreams: ["${agent.url}"], body_idle_timeout_ms: 300`;
  gateway = await startGateway(
    [
      `{ id: open, ${upstreams}, authentication: none }`,
      `{ id: signed, ${upstreams} }`,
      `{ id: streamed, ${upstreams}, body: stream }`,
    ],
    { BODY_IDLE_TIMEOUT_MS: '300', HEADERS_TIMEOUT_MS: '1000', KEEP_ALIVE_TIMEOUT_MS: '1000' },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
});
beforeEach(() => agent.forget());

const MODES = ['open', 'signed', 'streamed'] as const;

function partsOf(mode: (typeof MODES)[number], method: string): Parts {
  const authority = `127.0.0.1:${gateway.port}`;
  const path = `/agents/${mode}/start?a=b`;
  const call = { method, target: path, ...(method === 'POST' ? { body: Buffer.from('hello') } : {}) };
  const { headers = [] } = mode === 'open' ? {} : signed(alice, `http://${authority}`, call);
  return { path, authority, fields: headers };
}

const outcomes: string[] = [];
const startedAt = performance.now();

function checkAgent(): void {
  gateway.stillRuns();
  expect(agent.ambiguous()).toBe('');
  expect(agent.bytes()).not.toContain('smuggled');
  expect(agent.bytes()).not.toContain('other.example');
  expect(agent.bytes()).not.toContain('did:web:root');
}

describe.each(MODES)('over HTTP/2 to an agent that is called %s', (mode) => {
  test.each(SHAPES)('%s', async (_name, expected, framesOf) => {
    // Signed for what an honest reader would take it for.
    const method = Buffer.concat(framesOf(partsOf('open', 'GET'))).includes('POST') ? 'POST' : 'GET';
    const { outcome, body } = await sendFrames(gateway.port, framesOf(partsOf(mode, method)));
    const code = body.startsWith('{') ? String((JSON.parse(body) as { code?: unknown }).code) : '';
    outcomes.push(code || outcome);
    checkAgent();
    if (outcome === 'other') expect(known.has(code)).toBe(true);
    expect(outcome).not.toBe('silent');
    if (expected === 'refused') {
      expect(outcome).not.toBe('200');
      // A body that is not held may begin before it turns out to be none; the agent then never gets it whole.
      expect(agent.received).toEqual([]);
      if (mode === 'signed') expect(agent.bytes()).toBe('');
      return;
    }
    expect({ outcome, code }).toEqual({ outcome: '200', code: '' });
    expect(agent.received).toMatchObject([
      { line: `${method} /start?a=b HTTP/1.1`, body: expected === 'dropped' ? '' : expected },
    ]);
    expect(agent.bytes()).not.toContain(MARK);
  });
});

test.each(MODES)(
  "what follows the end of a stream to an agent that is called %s is nobody's",
  async (mode) => {
    await sendFrames(gateway.port, AFTER_THE_END(partsOf(mode, 'POST')));
    checkAgent();
    for (const { body } of agent.received) expect(body).toBe('hello');
  },
);

test.each(FLOODS)('%s is ended, and costs no memory', async (_name, _expected, framesOf) => {
  const beforeMb = gateway.rssMb();
  const { outcome } = await sendFrames(gateway.port, framesOf(partsOf('open', 'GET')));
  outcomes.push(outcome);
  checkAgent();
  expect(agent.received).toEqual([]);
  expect(['goaway', 'closed', 'reset', 'other']).toContain(outcome);
  expect(gateway.rssMb() - beforeMb).toBeLessThan(MEMORY_MB_MAX);
});

afterAll(() => report('ambiguous requests over HTTP/2', outcomes.length, startedAt, tally(outcomes)));
