import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openGateway, policyOf, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { send, TRANSPORTS } from './support/clients.ts';

const alice = newCaller();
const BODY = Buffer.from('{"pay":1}');
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: policyOf('rules: [{ id: all, effect: allow, match: { path: "/agents/echo/**" } }]'),
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

/** Whoever saw a request on its way could otherwise use it up before it arrives (RFC 9421, section 7.2.2). */
const spoilt: readonly (readonly [string, string, (call: Call) => Call])[] = [
  ['another body', 'digest_mismatch', (call) => ({ ...call, body: Buffer.from('{"pay":9}') })],
  ['a body cut short', 'digest_mismatch', (call) => ({ ...call, body: BODY.subarray(2) })],
  ['another path', 'signature_invalid', (call) => ({ ...call, target: '/agents/echo/other' })],
  [
    'a spoilt signature',
    'signature_invalid',
    (call) => ({
      ...call,
      headers: (call.headers ?? []).map(([name, value]) => [
        name,
        name === 'signature'
          ? value.replace(/:(.)/, (_all, first: string) => (first === 'A' ? ':B' : ':A'))
          : value,
      ]),
    }),
  ],
];

describe.each(TRANSPORTS)('over %s', (transport) => {
  test.each(spoilt)('%s: %s, and the request itself is still served', async (_what, code, spoil) => {
    const call = signed(alice, gateway.origin, { method: 'POST', target: '/agents/echo/', body: BODY });
    expect(await send(gateway, spoil(call), transport)).toMatchObject({ status: 401, code });
    expect(await send(gateway, call, transport)).toMatchObject({ status: 200 });
    expect(await send(gateway, call, transport)).toMatchObject({ status: 401, code: 'nonce_replayed' });
  });
});

test('many copies at once: one is served', async () => {
  const call = signed(alice, gateway.origin, { method: 'POST', target: '/agents/echo/', body: BODY });
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, i) => send(gateway, call, i % 2 === 0 ? 'h2' : 'http/1.1')),
  );
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(answers.filter(({ code }) => code === 'nonce_replayed')).toHaveLength(11);
});
