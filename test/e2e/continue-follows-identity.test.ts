import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openGateway, policyOf, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import {
  type Answer,
  answerOnStream,
  answerTo,
  openHttp1,
  openSession,
  openStream,
  TRANSPORTS,
  type Transport,
} from './support/clients.ts';

const alice = newCaller();
const BODY = Buffer.from('{"pay":1}');
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  const upstreams = `upstreams: ["${agent.url}"]`;
  gateway = await openGateway({
    agents: [
      `{ id: echo, ${upstreams} }`,
      `{ id: stream, ${upstreams}, body: stream }`,
      `{ id: open, ${upstreams}, authentication: none }`,
      `{ id: denied, ${upstreams} }`,
    ],
    policy: policyOf(`rules:
  - { id: most, effect: allow, match: { path: /agents/** } }
  - { id: not-there, effect: deny, match: { path: /agents/denied/** } }`),
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

/** Sends the head with `Expect: 100-continue`, and the body only when told to go on. */
async function expectContinue(
  call: Call,
  transport: Transport,
): Promise<{ continued: boolean; answer: Answer; atContinue: number }> {
  const expecting: Call = { ...call, headers: [...(call.headers ?? []), ['expect', '100-continue']] };
  let continued = false;
  let atContinue = -1;
  const goOn = (): void => {
    continued = true;
    atContinue = agent.begun();
  };
  if (transport === 'http/1.1') {
    const length = ['content-length', String(call.body?.length ?? 0)] as const;
    const request = openHttp1(gateway, { ...expecting, headers: [...(expecting.headers ?? []), length] });
    request.on('continue', () => {
      goOn();
      request.end(call.body);
    });
    const answer = answerTo(request);
    request.flushHeaders();
    const result = { answer: await answer, continued, atContinue };
    request.destroy();
    return result;
  }
  const session = await openSession(gateway);
  const stream = openStream(session, gateway, expecting);
  stream.on('continue', () => {
    goOn();
    stream.end(call.body);
  });
  const result = { answer: await answerOnStream(stream), continued, atContinue };
  const closed = once(session, 'close');
  session.destroy();
  await closed;
  return result;
}

const post = (id: string): Call =>
  signed(alice, gateway.origin, { method: 'POST', target: `/agents/${id}/`, body: BODY });

describe.each(TRANSPORTS)('over %s', (transport) => {
  test.each(['echo', 'stream'])('a proven caller is told to go on: %s', async (id) => {
    const { continued, answer } = await expectContinue(post(id), transport);
    expect(answer).toMatchObject({ status: 200 });
    expect(continued).toBe(true);
    expect(agent.seen.at(-1)?.body).toBe(BODY.toString());
    expect(agent.seen.at(-1)?.headers.expect).toBeUndefined();
  });

  test('he is told before the agent hears of it', async () => {
    const before = agent.begun();
    const { atContinue } = await expectContinue(post('echo'), transport);
    expect(atContinue).toBe(before);
  });

  test('so is everybody where nobody has to prove anything', async () => {
    const { continued, answer } = await expectContinue(
      { method: 'POST', target: '/agents/open/', body: BODY },
      transport,
    );
    expect({ continued, status: answer.status }).toEqual({ continued: true, status: 200 });
  });

  test('who is refused never sends a body', async () => {
    const unsigned: Call = { method: 'POST', target: '/agents/echo/', body: BODY };
    const forged: Call = { ...post('echo'), target: '/agents/echo/elsewhere' };
    for (const [call, code] of [
      [unsigned, 'signature_required'],
      [forged, 'signature_invalid'],
      [post('denied'), 'policy_denied'],
      [post('nobody'), 'agent_unknown'],
    ] as const) {
      const { continued, answer } = await expectContinue(call, transport);
      expect({ continued, code: answer.code }).toEqual({ continued: false, code });
    }
  });
});
