import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOW_ALL, makeFolder, nextSecond, until, writeGatewayFiles } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { answerTo, closeOf, openHttp1, openWebSocket, send } from './support/clients.ts';
import { spawnGateway } from './support/process.ts';

const alice = newCaller();
const BODY = Buffer.from('{"city":"Seoul"}');
let agent: TestAgent;
let folder: string;
/** Answers the agent holds back until the test lets it. */
const held: (() => void)[] = [];

beforeAll(async () => {
  folder = makeFolder();
  agent = await startAgent({
    answer(request, response) {
      if (request.url === '/slow') held.push(() => response.end('at last'));
      else response.end('ok');
    },
  });
});
afterAll(async () => {
  await agent.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('it says where it listens, serves, lets what is on its way arrive, and ends with 0', async () => {
    const env = await writeGatewayFiles(folder, {
      agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
      policy: ALLOW_ALL,
      env: { LOG_LEVEL: 'info', DRAIN_TIMEOUT_MS: '5000' },
    });
    await using child = spawnGateway(env);
    const gateway = await child.listening();
    expect(child.stdout().match(/^sage-gateway listening on http:\/\/127\.0\.0\.1:\d+$/gm)).toHaveLength(1);
    await nextSecond();
    const get = (target: string): Call => signed(alice, gateway.origin, { method: 'GET', target });
    const post = signed(alice, gateway.origin, {
      method: 'POST',
      target: '/agents/echo/?q=query-secret',
      body: BODY,
    });
    const served = await send(gateway, post);
    expect(served).toMatchObject({ status: 200, body: 'ok' });
    const socket = await openWebSocket(gateway, get('/agents/echo/'));
    const slow = openHttp1(gateway, get('/agents/echo/slow'));
    const answer = answerTo(slow);
    slow.end();
    const release = await until(() => held.shift(), 'the agent has the slow request');
    const closed = closeOf(socket);
    child.signal(signal);
    expect((await closed).code).toBe(1001);
    release();
    expect(await answer).toMatchObject({ status: 200, body: 'at last' });
    expect(await child.exited).toBe(0);
    expect(child.stderr()).toBe('');
    const lines = child
      .stdout()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    const about = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(about.filter(({ request_id }) => request_id === served.headers['x-request-id'])).toHaveLength(1);
    expect(about.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['draining', 'drained']));
    expect(child.stdout()).not.toMatch(/query-secret|sig1=|keyid=/);
  });
});

test('what does not end in time is cut, and it ends with 0 all the same', async () => {
  const env = await writeGatewayFiles(folder, {
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    env: { DRAIN_TIMEOUT_MS: '300' },
  });
  await using child = spawnGateway(env);
  const gateway = await child.listening();
  await nextSecond();
  const slow = openHttp1(
    gateway,
    signed(alice, gateway.origin, { method: 'GET', target: '/agents/echo/slow' }),
  );
  const answer = answerTo(slow);
  slow.end();
  await until(() => held.shift(), 'the agent has the slow request');
  const startedAt = performance.now();
  child.signal('SIGTERM');
  await expect(answer).rejects.toThrow();
  expect(await child.exited).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(3_000);
});
