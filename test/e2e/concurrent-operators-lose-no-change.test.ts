import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { newCaller, signed } from './support/callers.ts';
import { send } from './support/clients.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';

let agent: TestAgent;
let gateway: TestGateway;
beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [],
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  operate(gateway, method, path, { headers, ...(body === undefined ? {} : { body }) });
const inOrder = (answers: readonly { status: number }[]) =>
  answers.map(({ status }) => status).sort((a, b) => a - b);

test('patches of different settings, none with If-Match, all take effect', async () => {
  await ask('POST', '/v1/agents', { id: 'one', upstreams: [agent.url] });
  const names = ['connect_timeout_ms', 'response_timeout_ms', 'body_idle_timeout_ms'];
  const answers = await Promise.all(names.map((name) => ask('PATCH', '/v1/agents/one', { [name]: 1_234 })));
  expect(inOrder(answers)).toEqual([200, 200, 200]);
  expect((await ask('GET', '/v1/agents/one')).body).toMatchObject({
    version: 4,
    ...Object.fromEntries(names.map((name) => [name, 1_234])),
  });
});

test('of policies put by those who read the same one, exactly one is stored', async () => {
  const etag = (await ask('GET', '/v1/policy')).headers.get('etag') ?? '';
  expect(etag).toBe('"0"');
  const text = policyOf('rules: []');
  const put = (_: unknown, at: number) =>
    ask('PUT', '/v1/policy', { text, note: `writer ${at}` }, { 'if-match': etag });
  const answers = await Promise.all(Array.from({ length: 6 }, put));
  expect(inOrder(answers)).toEqual([200, 412, 412, 412, 412, 412]);
  const { items } = (await ask('GET', '/v1/policy/revisions')).body;
  const winner = answers.findIndex(({ status }) => status === 200);
  expect(items).toMatchObject([{ sequence: 1, note: `writer ${winner}`, created_by: 'key:bootstrap' }]);
  await ask('DELETE', '/v1/policy');
});

test('a DID that many revoke at once is revoked once, and refused until that one is lifted', async () => {
  const mallory = newCaller();
  await ask('POST', '/v1/agents', { id: 'open', upstreams: [agent.url], allow: ['*'] });
  const call = async () =>
    (await send(gateway, signed(mallory, gateway.origin, { method: 'GET', target: '/agents/open/' }))).code;
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => ask('POST', '/v1/revocations', { did: mallory.did })),
  );
  expect(inOrder(answers)).toEqual([201, 409, 409, 409, 409]);
  expect(await call()).toBe('did_denied');
  const { items } = (await ask('GET', '/v1/revocations')).body;
  expect(items).toHaveLength(1);
  await ask('DELETE', `/v1/revocations/${items[0].id}`);
  expect(await call()).toBe('');
});

test('revocations are listed newest first, page by page', async () => {
  const dids = Array.from({ length: 5 }, () => newCaller().did);
  for (const did of dids) await ask('POST', '/v1/revocations', { did });
  const seen: string[] = [];
  let query = '?limit=2';
  while (query !== '') {
    const { items, next } = (await ask('GET', `/v1/revocations${query}`)).body;
    seen.push(...items.map(({ did }: { did: string }) => did));
    query = next === null ? '' : `?limit=2&cursor=${next}`;
  }
  expect(new Set(seen)).toEqual(new Set(dids));
  expect(seen).toHaveLength(dids.length);
  expect((await ask('GET', '/v1/revocations?limit=2&cursor=AAAA=')).status).toBe(400);
});

test('a row that nobody can read is shown with its fault, and mended or removed', async () => {
  await gateway.app.database.agents.insert('broken', '{"id":', 'key:someone', Date.now());
  await until(async () => (await ask('GET', '/v1/agents/broken')).body.fault, 'it is shown');
  expect((await ask('GET', '/v1/agents/one')).body.fault).toBeNull();
  expect(await ask('PATCH', '/v1/agents/broken', { retries: 1 })).toMatchObject({ status: 422 });
  const mended = { upstreams: [agent.url], allow: ['*'] };
  expect(await ask('PATCH', '/v1/agents/broken', mended)).toMatchObject({
    status: 200,
    body: { fault: null },
  });
  expect(await ask('DELETE', '/v1/agents/broken')).toMatchObject({ status: 204 });
});
