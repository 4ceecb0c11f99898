import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeFolder, openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Caller, newCaller, signed } from './support/callers.ts';
import { closeOf, openEvents, openWebSocket, send } from './support/clients.ts';
import { type Json, OPERATOR_KEY, operate } from './support/operator.ts';

const ALLOW = 'allow: ["did:key:*"]';
const alice = newCaller();
const bob = newCaller();
const folder = makeFolder();
let agent: TestAgent;
let other: TestAgent;
let gateway: TestGateway;

const open = (): Promise<TestGateway> =>
  openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"], ${ALLOW} }`],
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
    folder,
  });

beforeAll(async () => {
  [agent, other] = await Promise.all([
    startAgent({
      answer(request, response) {
        if (request.url === '/events')
          response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n');
        else response.end('echo');
      },
    }),
    startAgent({ answer: (_request, response) => void response.end('other') }),
  ]);
  gateway = await open();
});
afterAll(async () => {
  await gateway.close();
  await Promise.all([agent.stop(), other.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const call = (target: string, caller: Caller = alice, method = 'GET') =>
  signed(caller, gateway.origin, { method, target });
/** Without a policy the default limits hold, and all of these calls come from one address: who spent its budget waits. */
const served = (target: string, caller: Caller = alice, method = 'GET') =>
  until(async () => {
    const answer = await send(gateway, call(target, caller, method));
    return answer.code === 'address_rate_limited' ? null : answer;
  }, 'the address has budget again');
const ask = (method: string, path: string, more = {}) => operate(gateway, method, path, more);
const codes = ({ body }: { body: { errors?: { path: string }[] } }) => body.errors?.map(({ path }) => path);

describe('agents', () => {
  test('added, called, changed and removed without a restart', async () => {
    expect(await served('/agents/more/')).toMatchObject({ status: 404, code: 'agent_unknown' });
    const entry = { id: 'more', upstreams: [other.url], allow: ['did:key:*'] };
    const added = await ask('POST', '/v1/agents', { body: entry });
    expect(added).toMatchObject({
      status: 201,
      body: {
        id: 'more',
        source: 'api',
        version: 1,
        updated_by: 'key:bootstrap',
        shadowed: false,
        retries: 1,
      },
    });
    expect(added.headers.get('location')).toBe('/v1/agents/more');
    expect(added.headers.get('etag')).toBe('"1"');
    expect(await served('/agents/more/')).toMatchObject({ status: 200, body: 'other' });

    const changed = await ask('PATCH', '/v1/agents/more', {
      body: { allow: [bob.did], retries: 0 },
      headers: { 'content-type': 'application/merge-patch+json', 'if-match': '"1"' },
    });
    expect(changed).toMatchObject({ status: 200, body: { version: 2, retries: 0, allow: [bob.did] } });
    expect(await served('/agents/more/')).toMatchObject({ status: 403, code: 'policy_denied' });
    expect(await served('/agents/more/', bob)).toMatchObject({ status: 200 });

    const stale = await ask('PUT', '/v1/agents/more', { body: entry, headers: { 'if-match': '"1"' } });
    expect(stale).toMatchObject({ status: 412, body: { code: 'resource_changed' } });
    const replaced = await ask('PUT', '/v1/agents/more', { body: entry });
    expect(replaced).toMatchObject({ status: 200, body: { version: 3, retries: 1 } });
    expect(await served('/agents/more/')).toMatchObject({ status: 200 });

    expect(await ask('DELETE', '/v1/agents/more')).toMatchObject({ status: 204, body: null });
    expect(await served('/agents/more/')).toMatchObject({ status: 404, code: 'agent_unknown' });
    expect(await ask('DELETE', '/v1/agents/more')).toMatchObject({
      status: 404,
      body: { code: 'resource_unknown' },
    });
  });

  test('those of sage.yaml are changed there, and win over an added one of the same id', async () => {
    const entry = { id: 'echo', upstreams: [other.url] };
    for (const [method, path, body] of [
      ['POST', '/v1/agents', entry],
      ['PUT', '/v1/agents/echo', entry],
      ['PATCH', '/v1/agents/echo', { retries: 0 }],
      ['DELETE', '/v1/agents/echo', undefined],
    ] as const)
      expect(await ask(method, path, { body })).toMatchObject({
        status: 409,
        body: { code: 'agent_from_file' },
      });

    await ask('POST', '/v1/agents', { body: { id: 'late', upstreams: [other.url], allow: ['did:key:*'] } });
    gateway.configure({
      agents: [
        `{ id: echo, upstreams: ["${agent.url}"], ${ALLOW} }`,
        `{ id: late, upstreams: ["${agent.url}"], ${ALLOW} }`,
      ],
    });
    await until(async () => (await served('/agents/late/')).body === 'echo', 'the file wins');
    const { items } = (await ask('GET', '/v1/agents')).body;
    expect(items.map(({ id, source, shadowed }: Record<string, unknown>) => [id, source, shadowed])).toEqual([
      ['echo', 'file', false],
      ['late', 'api', true],
      ['late', 'file', false],
    ]);
    gateway.configure({ agents: [`{ id: echo, upstreams: ["${agent.url}"], ${ALLOW} }`] });
    await until(async () => (await served('/agents/late/')).body === 'other', 'the added one is back');
    await ask('DELETE', '/v1/agents/late');
  });

  test.each([
    ['an unknown member', { id: 'a', upstreams: ['http://h'], colour: 1 }, 400, ['/colour']],
    ['no upstreams', { id: 'a', upstreams: [] }, 400, ['/upstreams']],
    ['an id of another form', { id: 'A B', upstreams: ['http://h'] }, 400, ['/id']],
    ['an upstream with a path', { id: 'a', upstreams: ['http://h/x'] }, 422, ['/upstreams/0']],
    ['a list', [1], 400, ['']],
  ])('%s changes nothing and says where', async (_what, body, status, paths) => {
    const before = (await ask('GET', '/v1/agents')).body.items.length;
    const answer = await ask('POST', '/v1/agents', { body });
    expect(answer.status).toBe(status);
    expect(codes(answer)).toEqual(paths);
    expect((await ask('GET', '/v1/agents')).body.items).toHaveLength(before);
  });

  test('of two who change the same version one wins', async () => {
    await ask('POST', '/v1/agents', { body: { id: 'race', upstreams: [other.url] } });
    const change = (retries: number) =>
      ask('PATCH', '/v1/agents/race', { body: { retries }, headers: { 'if-match': '"1"' } });
    const answers = await Promise.all([0, 1, 2, 3, 4].map(change));
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 412, 412, 412, 412]);
    await ask('DELETE', '/v1/agents/race');
  });

  test('pages hold what was asked for, and no more than may be', async () => {
    for (const id of ['p1', 'p2', 'p3'])
      await ask('POST', '/v1/agents', { body: { id, upstreams: [other.url] } });
    const seen: string[] = [];
    let next: string | null = '';
    while (next !== null) {
      const query: string = next === '' ? '' : `&cursor=${next}`;
      const page: Json = (await ask('GET', `/v1/agents?limit=2${query}`)).body;
      seen.push(...page.items.map(({ id }: { id: string }) => id));
      next = page.next;
    }
    expect(seen).toEqual(['echo', 'p1', 'p2', 'p3']);
    for (const query of ['limit=501', 'limit=0', 'limit=x', 'cursor=%20', 'cursor=AAAA=', 'colour=1'])
      expect(await ask('GET', `/v1/agents?${query}`), query).toMatchObject({
        status: 400,
        body: { code: 'request_invalid' },
      });
    for (const id of ['p1', 'p2', 'p3']) await ask('DELETE', `/v1/agents/${id}`);
  });
});

describe('the policy', () => {
  const closed = policyOf(
    `rules: [{ id: alice-only, effect: allow, match: { did: "${alice.did}", path: /agents/** } }]`,
  );

  test('replaced, in force when answered, and taken back', async () => {
    const before = (await ask('GET', '/v1/policy')).body;
    expect(before).toMatchObject({ source: 'allow_lists', sequence: 0, text: null, updated_by: null });
    expect(await served('/agents/echo/', bob)).toMatchObject({ status: 200 });
    const put = await ask('PUT', '/v1/policy', { body: { text: closed, note: 'bob is out' } });
    expect(put).toMatchObject({
      status: 200,
      body: { source: 'store', rules: 1, updated_by: 'key:bootstrap', text: closed },
    });
    expect(await served('/agents/echo/', bob)).toMatchObject({ status: 403, code: 'policy_denied' });
    expect(await served('/agents/echo/')).toMatchObject({ status: 200 });
    const { sequence } = put.body;
    const stale = await ask('DELETE', '/v1/policy', { headers: { 'if-match': `"${sequence - 1}"` } });
    expect(stale).toMatchObject({ status: 412 });
    expect(await ask('DELETE', '/v1/policy')).toMatchObject({ status: 200, body: { source: 'allow_lists' } });
    expect(await served('/agents/echo/', bob)).toMatchObject({ status: 200 });
    const history = (await ask('GET', '/v1/policy/revisions')).body.items;
    expect(history.map(({ note }: { note: string }) => note)).toEqual(['', 'bob is out']);
    const one = await ask('GET', `/v1/policy/revisions/${sequence}`);
    expect(one.body).toMatchObject({ text: closed, revision: put.body.revision });
  });

  test('YAML as it is, too', async () => {
    const put = await ask('PUT', '/v1/policy', {
      body: closed,
      headers: { 'content-type': 'application/yaml' },
    });
    expect(put).toMatchObject({ status: 200, body: { source: 'store' } });
    await ask('DELETE', '/v1/policy');
  });

  test('one with faults changes nothing, and every fault has its place', async () => {
    const bad = `${closed}colour: red\n`;
    const { revision } = (await ask('GET', '/v1/policy')).body;
    const put = await ask('PUT', '/v1/policy', { body: { text: bad } });
    expect(put).toMatchObject({ status: 422, body: { code: 'policy_invalid' } });
    expect(put.body.errors).toEqual([
      {
        line: bad.split('\n').indexOf('colour: red') + 1,
        column: 1,
        message: expect.stringContaining('colour'),
      },
    ]);
    expect((await ask('GET', '/v1/policy')).body.revision).toBe(revision);
    const checked = await ask('POST', '/v1/policy/validate', { body: { text: bad } });
    expect(checked).toMatchObject({ status: 200, body: { valid: false, errors: put.body.errors } });
    expect((await ask('POST', '/v1/policy/validate', { body: { text: closed } })).body).toMatchObject({
      valid: true,
      rules: 1,
    });
  });

  test('a rule on regions is refused where there is no region database', async () => {
    const text = policyOf('rules: [{ id: r, effect: allow, match: { did: "*", region: [DE] } }]');
    expect(await ask('PUT', '/v1/policy', { body: { text } })).toMatchObject({ status: 422 });
  });
});

describe('revocations', () => {
  test('a DID is denied at once, what it holds open is closed, and it is let in again', async () => {
    const mallory = newCaller();
    const socket = await openWebSocket(gateway, call('/agents/echo/', mallory));
    const closed = closeOf(socket);
    const events = await openEvents(gateway, call('/agents/echo/events', mallory));
    await until(() => events.events.length === 1, 'the stream flows');
    const startedAt = performance.now();
    const revoked = await ask('POST', '/v1/revocations', {
      body: { did: mallory.did, reason: 'key leaked' },
    });
    expect(revoked).toMatchObject({
      status: 201,
      body: {
        did: mallory.did,
        key_id: null,
        reason: 'key leaked',
        created_by: 'key:bootstrap',
        expires_at: null,
        closed: 2,
      },
    });
    expect((await closed).code).toBe(1008);
    await events.ended;
    console.log(`      revoked and closed in ${(performance.now() - startedAt).toFixed(1)} ms`);
    expect(await served('/agents/echo/', mallory)).toMatchObject({ status: 401, code: 'did_denied' });
    expect(await served('/agents/echo/', alice)).toMatchObject({ status: 200 });
    expect(await ask('POST', '/v1/revocations', { body: { did: mallory.did } })).toMatchObject({
      status: 409,
      body: { code: 'resource_exists' },
    });
    const { id } = revoked.body;
    expect((await ask('GET', '/v1/revocations')).body.items).toContainEqual(expect.objectContaining({ id }));
    expect(await ask('DELETE', `/v1/revocations/${id}`)).toMatchObject({ status: 204 });
    expect(await served('/agents/echo/', mallory)).toMatchObject({ status: 200 });
  });

  test('one key of a DID; one that ends by itself', async () => {
    const eve = newCaller();
    const until_ = new Date(Date.now() + 1_500).toISOString();
    const revoked = await ask('POST', '/v1/revocations', {
      body: { key_id: eve.signer.keyId, expires_at: until_ },
    });
    expect(revoked).toMatchObject({
      status: 201,
      body: { did: eve.did, key_id: eve.signer.keyId, expires_at: until_ },
    });
    expect(await served('/agents/echo/', eve)).toMatchObject({ status: 401, code: 'key_denied' });
    await until(async () => (await served('/agents/echo/', eve)).status === 200, 'it has ended');
  });

  test('is remembered by a gateway that is started again', async () => {
    const trent = newCaller();
    const added = { id: 'kept', upstreams: [other.url], allow: ['did:key:*'] };
    await ask('POST', '/v1/revocations', { body: { did: trent.did } });
    await ask('POST', '/v1/agents', { body: added });
    await ask('PUT', '/v1/policy', {
      body: { text: policyOf('rules: [{ id: all, effect: allow, match: { did: "*", path: /agents/** } }]') },
    });
    await gateway.close();
    gateway = await open();
    expect(await served('/agents/kept/', trent)).toMatchObject({ status: 401, code: 'did_denied' });
    expect(await served('/agents/kept/')).toMatchObject({ status: 200, body: 'other' });
    expect((await ask('GET', '/v1/policy')).body).toMatchObject({ source: 'store' });
    await ask('DELETE', '/v1/policy');
  });

  test.each([
    ['neither', {}, 422],
    ['both', { did: 'did:web:a.example', key_id: 'did:web:a.example#k' }, 422],
    ['no DID', { did: 'alice' }, 422],
    ['a key for a DID', { did: `${alice.did}#x` }, 422],
    ['a moment that has passed', { did: alice.did, expires_at: '2020-01-01T00:00:00Z' }, 400],
    ['a moment without a zone', { did: alice.did, expires_at: '2099-01-01T00:00:00' }, 400],
    ['an unknown member', { did: alice.did, forever: true }, 400],
  ])('%s is refused and denies nobody', async (_what, body, status) => {
    expect((await ask('POST', '/v1/revocations', { body })).status).toBe(status);
    expect(await served('/agents/echo/')).toMatchObject({ status: 200 });
  });
});

describe('blocks', () => {
  test('an address is blocked, listed and let in again', async () => {
    const blocked = await ask('POST', '/v1/blocks', {
      body: { address: '198.51.100.7', for_seconds: 60, reason: 'scans' },
    });
    expect(blocked).toMatchObject({
      status: 201,
      body: { address: '198.51.100.7', reason: 'scans', set_by: 'key:bootstrap' },
    });
    await ask('POST', '/v1/blocks', { body: { address: '2001:db8:1:2:3::4', for_seconds: 60 } });
    const { items } = (await ask('GET', '/v1/blocks')).body;
    expect(items.map(({ address }: { address: string }) => address)).toEqual([
      '198.51.100.7',
      '2001:db8:1:2::/64',
    ]);
    for (const path of ['198.51.100.7', encodeURIComponent('2001:db8:1:2::/64')])
      expect(await ask('DELETE', `/v1/blocks/${path}`), path).toMatchObject({ status: 204 });
    expect(await ask('DELETE', '/v1/blocks/198.51.100.7')).toMatchObject({ status: 404 });
    expect((await ask('GET', '/v1/blocks')).body.items).toEqual([]);
  });

  test.each([
    ['no address', { address: 'somewhere', for_seconds: 1 }],
    ['too long', { address: '198.51.100.7', for_seconds: 86_401 }],
    ['no time', { address: '198.51.100.7' }],
  ])('%s', async (_what, body) => {
    expect(await ask('POST', '/v1/blocks', { body })).toMatchObject({
      status: 400,
      body: { code: 'request_invalid' },
    });
  });
});

describe('circuits', () => {
  test('one that is open is closed by an operator, and serves at once', async () => {
    const dead = await startAgent();
    await ask('POST', '/v1/agents', {
      body: { id: 'frail', upstreams: [dead.url], allow: ['did:key:*'], retries: 0 },
    });
    await dead.stop();
    await until(async () => (await served('/agents/frail/')).code === 'circuit_open', 'the circuit opens');
    const { items } = (await ask('GET', '/v1/circuits')).body;
    expect(items).toContainEqual(
      expect.objectContaining({ agent_id: 'frail', instance: dead.url, state: 'open' }),
    );
    await dead.start();
    const body = { agent_id: 'frail', instance: dead.url };
    const answer = await ask('POST', '/v1/circuits/close', { body });
    expect(answer).toMatchObject({ status: 200, body: { items: [{ state: 'closed' }] } });
    expect(await served('/agents/frail/')).toMatchObject({ status: 200 });
    expect(await ask('POST', '/v1/circuits/close', { body: { ...body, agent_id: 'none' } })).toMatchObject({
      status: 404,
    });
    await ask('DELETE', '/v1/agents/frail');
    await dead.stop();
  });
});

describe('what every route refuses', () => {
  test.each([
    ['a body that is no JSON', 'POST', '/v1/agents', '{', 400, 'body_not_json'],
    ['another media type', 'POST', '/v1/agents', 'id: a', 415, 'media_type_unsupported'],
    ['another method', 'PUT', '/v1/agents', '{}', 405, 'method_not_allowed'],
    ['another path', 'GET', '/v1/nothing', undefined, 404, 'resource_unknown'],
    [
      'a body beyond all measure',
      'POST',
      '/v1/blocks',
      JSON.stringify({ address: 'x'.repeat(3_000_000) }),
      413,
      'body_too_large',
    ],
  ])('%s', async (_what, method, path, body, status, code) => {
    const headers = code === 'media_type_unsupported' ? { 'content-type': 'application/toml' } : undefined;
    const answer = await ask(method, path, { body, ...(headers === undefined ? {} : { headers }) });
    expect(answer).toMatchObject({ status, body: { code, status, request_id: expect.any(String) } });
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
  });

  test('a POST that is sent twice with one key acts once', async () => {
    const headers = { 'idempotency-key': 'once-1' };
    const body = { id: 'twice', upstreams: [other.url] };
    const first = await ask('POST', '/v1/agents', { body, headers });
    const second = await ask('POST', '/v1/agents', { body, headers });
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body).toEqual(first.body);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    const another = await ask('POST', '/v1/agents', { body: { ...body, id: 'thrice' }, headers });
    expect(another).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    await ask('DELETE', '/v1/agents/twice');
  });
});
