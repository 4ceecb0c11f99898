import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeFolder, openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Caller, newCaller, signed } from './support/callers.ts';
import { send } from './support/clients.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';

const alice = newCaller();
const bob = newCaller();
const only = ({ did }: Caller): string =>
  policyOf(`rules: [{ id: one, effect: allow, match: { did: "${did}", path: /agents/** } }]`);
/** What a node with a region database may store, and one without cannot use. */
const REGIONAL = policyOf('rules: [{ id: r, effect: allow, match: { did: "*", region: [DE] } }]');
let agent: TestAgent;
beforeAll(async () => {
  agent = await startAgent();
});
const folders: string[] = [];
afterAll(async () => {
  await agent.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
const ownFolder = (): string => {
  const folder = makeFolder();
  folders.push(folder);
  return folder;
};

const open = (folder: string, policy = only(alice)): Promise<TestGateway> =>
  openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy,
    folder,
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
  });
const call = async (gateway: TestGateway, caller: Caller): Promise<number> =>
  (await send(gateway, signed(caller, gateway.origin, { method: 'GET', target: '/agents/echo/' }))).status;
const health = async ({ origin }: TestGateway): Promise<string> =>
  (await fetch(`${origin}/health/detailed`, { headers: { authorization: `Bearer ${OPERATOR_KEY}` } })).text();

test('it wins over the file from the first request after a restart; the file, followed meanwhile, takes over again', async () => {
  const folder = ownFolder();
  const first = await open(folder);
  await operate(first, 'PUT', '/v1/policy', { body: { text: only(bob) } });
  expect([await call(first, alice), await call(first, bob)]).toEqual([403, 200]);
  await first.close();
  await using again = await open(folder);
  expect([await call(again, alice), await call(again, bob)]).toEqual([403, 200]);
  again.decideBy('rules: [');
  await until(async () => (await health(again)).includes('policy.yaml:1:'), 'the fault of the file is told');
  again.decideBy(only(bob));
  await until(async () => !(await health(again)).includes('policy.yaml:1:'), 'it is mended');
  await operate(again, 'DELETE', '/v1/policy');
  // The file as it is now, not as it was when the stored policy took its place.
  expect([await call(again, alice), await call(again, bob)]).toEqual([403, 200]);
  expect((await operate(again, 'GET', '/v1/policy')).body).toMatchObject({ source: 'file', sequence: 2 });
});

test('one that this node cannot use leaves what decides as it is, and is told of', async () => {
  await using gateway = await open(ownFolder());
  await operate(gateway, 'PUT', '/v1/policy', { body: { text: only(bob) } });
  const row = { revision: 'x', note: '', createdAtMs: Date.now(), createdBy: 'key:elsewhere' };
  await gateway.app.database.policies.insert({ ...row, text: REGIONAL }, null);
  await until(async () => (await health(gateway)).includes('regions are asked for'), 'health says so');
  expect([await call(gateway, alice), await call(gateway, bob)]).toEqual([403, 200]);
  expect(gateway.lines.map(({ msg }) => msg)).toContain('policy refused');
  // Put right by whoever can: here it is in force again, and health says nothing of it any more.
  await operate(gateway, 'PUT', '/v1/policy', { body: { text: only(alice) } });
  expect([await call(gateway, alice), await call(gateway, bob)]).toEqual([200, 403]);
  await until(async () => !(await health(gateway)).includes('regions are asked for'), 'all is well');
});

test('at the start it keeps the node from serving by any other', async () => {
  const folder = ownFolder();
  const first = await open(folder);
  const row = { revision: 'x', note: '', createdAtMs: Date.now(), createdBy: 'key:elsewhere' };
  await first.app.database.policies.insert({ ...row, text: REGIONAL }, null);
  await first.close();
  await expect(open(folder)).rejects.toMatchObject({
    code: 'policy_stored_invalid',
    message: expect.stringContaining('regions are asked for'),
  });
});

test.each([
  ['bytes that are no UTF-8', Buffer.from([0x61, 0xff, 0xfe]), 400],
  ['more than a file may hold', Buffer.alloc(1_100_000, '#'), 422],
  ['more than is read', Buffer.alloc(7_000_000, '#'), 413],
])('%s change nothing', async (_what, body, status) => {
  await using gateway = await open(ownFolder());
  const answer = await fetch(`${gateway.origin}/v1/policy`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${OPERATOR_KEY}`, 'content-type': 'application/yaml' },
    body,
  });
  expect(answer.status).toBe(status);
  expect((await operate(gateway, 'GET', '/v1/policy')).body).toMatchObject({ source: 'file', sequence: 0 });
});
