import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ALLOW_ALL,
  configOf,
  openGateway,
  policyOf,
  replaceFile,
  type TestGateway,
  until,
} from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { answerTo, openEvents, openHttp1, openWebSocket, send } from './support/clients.ts';

const KEY = 'operator-key-of-at-least-32-characters';
const alice = newCaller();
const DENY_ALL = policyOf('rules: [{ id: nobody, effect: deny, match: { path: /agents/** } }]');
const FAILING = `${ALLOW_ALL}tests:
  - name: this one is wrong
    request: { did: "did:key:z6MkExample", method: GET, path: /agents/echo/ }
    expect: { allow: false, rule: default }
`;
let agent: TestAgent;
let other: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent({
    answer(request, response) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      if (request.url !== '/events') response.end('first');
    },
  });
  other = await startAgent({ answer: (_request, response) => void response.end('second') });
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    env: { OPERATOR_API_KEY: KEY },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  await other.stop();
});

const get = (target = '/agents/echo/'): Call => signed(alice, gateway.origin, { method: 'GET', target });
const statusOf = async (target?: string): Promise<number> => (await send(gateway, get(target))).status;

/** What the operator is told of the files: empty when the last change was taken. It is asked for once a second. */
async function fault(): Promise<string> {
  const headers = [['authorization', `Bearer ${KEY}`]] as const;
  const { body } = await send(gateway, { method: 'GET', target: '/health/detailed', headers });
  return String(JSON.parse(body).checks?.['policy:revision'][0].output ?? '');
}

/** What the log says of files since line `from`: whether one was taken or why it was refused. */
function toldSince(from: number): { refused?: string } | undefined {
  for (const line of gateway.lines.slice(from)) {
    if (line.msg === 'policy refused' || line.msg === 'configuration refused')
      return { refused: JSON.stringify(line.fault ?? line.faults ?? line) };
    if (line.msg === 'policy reloaded' || line.msg === 'configuration reloaded') return {};
  }
  return undefined;
}

/** Does what changes a file and resolves with the fault that is told about it. */
async function refusedAfter(change: () => void): Promise<string> {
  const from = gateway.lines.length;
  change();
  return (await until(() => toldSince(from), 'the file is looked at', 3_000)).refused ?? 'taken';
}

async function takenAfter(change: () => void): Promise<void> {
  expect(await refusedAfter(change)).toBe('taken');
}

const ECHO = { agents: [] as string[], policy: ALLOW_ALL };
beforeAll(() => {
  ECHO.agents.push(`{ id: echo, upstreams: ["${agent.url}"] }`);
});

describe('policy.yaml', () => {
  test('a good one decides the next request', async () => {
    gateway.decideBy(DENY_ALL);
    await until(async () => (await statusOf()) === 403, 'the new policy decides');
    gateway.decideBy(ALLOW_ALL);
    await until(async () => (await statusOf()) === 200, 'the old policy decides again');
  });

  test.each([
    ['not YAML', 'rules: [', /policy\.yaml:\d+:\d+/],
    ['an unknown key', `${DENY_ALL}colour: blue\n`, /policy\.yaml:\d+:\d+: .*colour/],
    ['a test of its own that fails', FAILING, /this one is wrong/],
    ['empty', '', /policy\.yaml/],
  ])('a bad one changes nothing and is told: %s', async (_what, text, says) => {
    expect(await refusedAfter(() => gateway.decideBy(text))).toMatch(says);
    expect(await statusOf()).toBe(200);
  });

  test('in health, too, until it is mended', async () => {
    await until(async () => (await fault()).includes('policy.yaml'), 'the fault is told');
    await takenAfter(() => gateway.decideBy(`${ALLOW_ALL}# mended`));
    await until(async () => (await fault()) === '', 'the fault is gone');
  });

  test('what is open goes on', async () => {
    const socket = await openWebSocket(gateway, get());
    const events = await openEvents(gateway, get('/agents/echo/events'));
    await takenAfter(() => gateway.decideBy(DENY_ALL));
    expect(await statusOf()).toBe(403);
    socket.send('still there?');
    const [echoed] = (await once(socket, 'message')) as [Buffer];
    expect(echoed.toString()).toBe('still there?');
    expect(await Promise.race([events.ended, Promise.resolve('open')])).toBe('open');
    events.close();
    socket.terminate();
    await takenAfter(() => gateway.decideBy(ALLOW_ALL));
  });
});

describe('sage.yaml', () => {
  test('agents come, change and go', async () => {
    expect(await statusOf('/agents/late/')).toBe(404);
    const late = `{ id: late, upstreams: ["${other.url}"] }`;
    gateway.configure({ agents: [`{ id: echo, upstreams: ["${other.url}"] }`, late], policy: ALLOW_ALL });
    await until(async () => (await statusOf('/agents/late/')) === 200, 'the new agent is served');
    expect((await send(gateway, get())).body).toBe('second');
    gateway.configure({ agents: [late], policy: ALLOW_ALL });
    await until(async () => (await statusOf()) === 404, 'the old agent is gone');
    await takenAfter(() => gateway.configure(ECHO));
  });

  test('without a policy file the allow lists decide, and back', async () => {
    const upstreams = `upstreams: ["${agent.url}"]`;
    gateway.configure({ agents: [`{ id: echo, ${upstreams} }`] });
    await until(async () => (await statusOf()) === 403, 'nobody is on the list');
    gateway.configure({ agents: [`{ id: echo, ${upstreams}, allow: ["${alice.did}"] }`] });
    await until(async () => (await statusOf()) === 200, 'alice is on the list');
    expect(
      (await send(gateway, signed(newCaller(), gateway.origin, { method: 'GET', target: '/agents/echo/' })))
        .status,
    ).toBe(403);
    gateway.decideBy(DENY_ALL);
    gateway.configure({ agents: [`{ id: echo, ${upstreams} }`], policy: DENY_ALL });
    await until(async () => (await statusOf()) === 403, 'the file decides again');
    await takenAfter(() => gateway.decideBy(ALLOW_ALL));
  });

  test.each([
    ['not YAML', 'agents: [', /sage\.yaml:\d+:\d+/],
    [
      'an unknown key',
      'apiVersion: sage/v1\nagents: [{ id: echo, upstreams: ["http://127.0.0.1:1"], colour: blue }]\n',
      /sage\.yaml:2:\d+: .*colour/,
    ],
    [
      'an agent twice',
      configOf({ agents: Array(2).fill('{ id: echo, upstreams: ["http://127.0.0.1:1"] }') }),
      /used twice/,
    ],
    [
      'an upstream twice',
      configOf({ agents: ['{ id: echo, upstreams: ["http://127.0.0.1:1", "http://127.0.0.1:1/"] }'] }),
      /sage\.yaml:3:\d+: .*twice/,
    ],
    [
      'a policy file that is not there',
      configOf({ agents: ['{ id: echo, upstreams: ["http://127.0.0.1:1"] }'], more: 'policy: ./none.yaml' }),
      /none\.yaml/,
    ],
    [
      'other chains',
      configOf({
        agents: ['{ id: echo, upstreams: ["http://127.0.0.1:1"] }'],
        more: 'chains: [{ id: 1, registries: [{ address: "0x00000000000000000000000000000000000000ab" }] }]',
      }),
      /chains/,
    ],
  ])('a bad one changes nothing and is told: %s', async (_what, text, says) => {
    expect(await refusedAfter(() => replaceFile(gateway.folder, 'sage.yaml', text))).toMatch(says);
    expect((await send(gateway, get())).body).toBe('first');
  });

  test('its fault stands while the other file is mended', async () => {
    await refusedAfter(() => replaceFile(gateway.folder, 'sage.yaml', 'colour: blue'));
    await takenAfter(() => gateway.decideBy(`${ALLOW_ALL}# another revision\n`));
    await until(async () => (await fault()).includes('colour'), 'the fault is told in health');
  });

  test('the file as it was is good again', async () => {
    await takenAfter(() => gateway.configure(ECHO));
    await until(async () => (await fault()) === '', 'the fault is gone');
  });

  test('one that named a bad policy is taken when the policy is mended', async () => {
    const files = { ...ECHO, more: '# anew' };
    await takenAfter(() => gateway.configure({ agents: ECHO.agents }));
    replaceFile(gateway.folder, 'policy.yaml', 'rules: [');
    await refusedAfter(() => gateway.configure(files));
    gateway.decideBy(ALLOW_ALL);
    // An editor that saves the same text again.
    await takenAfter(() => gateway.configure(files));
    expect(await statusOf()).toBe(200);
  });

  test('what is on its way arrives', async () => {
    const body = Buffer.from('x'.repeat(1_000));
    const call = signed(alice, gateway.origin, { method: 'POST', target: '/agents/echo/', body });
    const headers = [...(call.headers ?? []), ['content-length', '1000'] as const];
    const request = openHttp1(gateway, { ...call, headers });
    const answer = answerTo(request);
    request.write(body.subarray(0, 500));
    const socket = await openWebSocket(gateway, get());
    gateway.configure({ agents: [`{ id: echo, upstreams: ["${other.url}"] }`], policy: ALLOW_ALL });
    await until(async () => (await send(gateway, get())).body === 'second', 'the new agent answers');
    request.end(body.subarray(500));
    expect(await answer).toMatchObject({ status: 200 });
    socket.send('still there?');
    expect(String((await once(socket, 'message'))[0])).toBe('still there?');
    socket.terminate();
  });
});
