import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { answerTo, openHttp1, send, TRANSPORTS } from './support/clients.ts';

const alice = newCaller();
/** Larger than what may be held, so that only streaming can carry it. */
const BODY = Buffer.alloc(300_000, 'abc');
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: files, upstreams: ["${agent.url}"], body: stream }`],
    policy: ALLOW_ALL,
    env: { BODY_BUFFER_BYTES: '1024' },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const post = (): Call =>
  signed(alice, gateway.origin, { method: 'POST', target: '/agents/files/', body: BODY });

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('what matches its digest arrives whole', async () => {
    expect(await send(gateway, post(), transport)).toMatchObject({ status: 200 });
    expect(agent.seen.at(-1)?.body.length).toBe(BODY.length);
  });

  test('what does not is refused, and never ends at the agent', async () => {
    const whole = agent.seen.length;
    const tampered = Buffer.from(BODY);
    tampered[tampered.length - 1] = 0x78;
    const answer = await send(gateway, { ...post(), body: tampered }, transport);
    expect(answer).toMatchObject({ status: 401, code: 'digest_mismatch' });
    expect(agent.seen.length).toBe(whole);
  });

  test('its nonce is spent like any other', async () => {
    const call = post();
    expect(await send(gateway, call, transport)).toMatchObject({ status: 200 });
    expect(await send(gateway, call, transport)).toMatchObject({ status: 401, code: 'nonce_replayed' });
  });
});

test('its bytes flow while it is being sent', async () => {
  const before = agent.begun();
  const call = post();
  const request = openHttp1(gateway, {
    ...call,
    headers: [...(call.headers ?? []), ['content-length', String(BODY.length)]],
  });
  const answer = answerTo(request);
  request.write(BODY.subarray(0, 200_000));
  await until(() => agent.begun() > before, 'the agent sees the request begin');
  request.end(BODY.subarray(200_000));
  expect(await answer).toMatchObject({ status: 200 });
});
