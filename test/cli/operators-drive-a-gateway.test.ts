import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startAgent, type TestAgent } from '../e2e/support/agent.ts';
import { newCaller, signed } from '../e2e/support/callers.ts';
import { send } from '../e2e/support/clients.ts';
import { OPERATOR_KEY } from '../e2e/support/operator.ts';
import { openGateway, policyOf, type TestGateway } from '../support/gateway.ts';
import { folderOf, sage, sageJson } from './support.ts';

const folder = folderOf('operate');
const file = (name: string): string => join(folder, name);
const alice = newCaller();
let agent: TestAgent;
let gateway: TestGateway;
let signedAs = '';

beforeAll(async () => {
  signedAs = (await sageJson(['keygen', '--out', 'ops.jwk'], { folder })).data.did;
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"], allow: ["did:key:*"] }`],
    more: `operators: ["${signedAs}"]`,
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const env = () => ({ SAGE_URL: gateway.origin, SAGE_API_KEY: OPERATOR_KEY });
const run = (...words: string[]) => sage(words, { folder, env: env() });
const json = (...words: string[]) => sageJson(words, { folder, env: env() });
const served = (path: string, caller = alice) =>
  send(gateway, signed(caller, gateway.origin, { method: 'GET', target: path }));

test('status says what runs', async () => {
  expect((await json('status')).data).toMatchObject({
    version: expect.any(String),
    store: { kind: 'sqlite', connected: true },
    agents: 1,
  });
  const { out } = await run('status');
  expect(out).toMatch(/^store\.kind +sqlite$/m);
  expect(out).toMatch(/^\[\+\] it serves$/m);
});

test('agents are listed, added, changed and removed', async () => {
  expect((await run('agents', 'list')).out).toMatch(
    /^\[\+\] echo +file +required +http:\/\/127\.0\.0\.1:\d+$/m,
  );
  const added = await run('agents', 'add', 'more', '--upstream', agent.url, '--allow', 'did:key:*');
  expect(added).toMatchObject({ code: 0, out: '[+] more is served at /agents/more/\n' });
  expect((await served('/agents/more/')).status).toBe(200);
  expect((await json('agents', 'set', 'more', '--allow', '*', '--if-version', '7')).error).toMatchObject({
    code: 'refused',
    gateway: { status: 412, code: 'resource_changed' },
  });
  writeFileSync(file('more.json'), JSON.stringify({ retries: 0 }));
  expect((await json('agents', 'set', 'more', '--file', 'more.json')).data).toMatchObject({
    retries: 0,
    version: 2,
  });
  expect((await json('agents', 'show', 'more')).data).toMatchObject({ id: 'more', source: 'api' });
  expect((await run('agents', 'remove', 'more')).code).toBe(0);
  const gone = await run('agents', 'show', 'more');
  expect(gone.code).toBe(6);
  expect(gone.err).toMatch(/^\[-\] .*\[resource_unknown\]$/m);
  expect(gone.err).toMatch(/^ {4}request \w+$/m);
});

test('a fault of an entry is told with its place', async () => {
  const { code, error } = await json('agents', 'add', 'bad', '--upstream', 'http://h/x');
  expect(code).toBe(1);
  expect(error).toMatchObject({
    gateway: { code: 'agent_invalid' },
    faults: [expect.stringMatching(/upstreams\/0: /)],
  });
});

test('a policy is checked, put in force, shown and taken back', async () => {
  writeFileSync(
    file('policy.yaml'),
    policyOf('rules: [{ id: nobody, effect: deny, match: { path: /agents/** } }]'),
  );
  writeFileSync(file('bad.yaml'), 'kind: PolicySet\n');
  const bad = await run('policy', 'validate', 'bad.yaml');
  expect(bad.code).toBe(1);
  expect(bad.out).toMatch(/^\[-\] bad\.yaml:\d+:\d+: .*apiVersion/m);
  expect((await run('policy', 'validate', 'policy.yaml')).out).toMatch(/^\[\+\] it can be used: 1 rules/);
  expect((await run('policy', 'replace', 'policy.yaml', '--note', 'closed')).code).toBe(0);
  expect((await served('/agents/echo/')).code).toBe('policy_denied');
  expect((await run('policy', 'show', '--text')).out).toBe(readFileSync(file('policy.yaml'), 'utf8'));
  expect((await json('policy', 'replace', 'bad.yaml')).error).toMatchObject({
    gateway: { code: 'policy_invalid' },
  });
  expect((await run('policy', 'reset')).code).toBe(0);
  expect((await served('/agents/echo/')).status).toBe(200);
  expect((await run('policy', 'history')).out).toMatch(/closed/);
});

test('a caller is denied and let in again', async () => {
  const mallory = newCaller();
  const { data } = await json('revoke', 'add', mallory.did, '--reason', 'key leaked');
  expect((await served('/agents/echo/', mallory)).code).toBe('did_denied');
  expect((await run('revoke', 'list')).out).toContain('key leaked');
  expect((await run('revoke', 'lift', data.id)).code).toBe(0);
  expect((await served('/agents/echo/', mallory)).status).toBe(200);
});

describe('keys', () => {
  test('made, used, rotated and revoked; the secret is printed once, or written for its owner', async () => {
    const { out, err } = await run('keys', 'create', 'grafana', '--role', 'viewer');
    expect(out).toMatch(/^sage_[\w-]+\.[\w-]{40,}\n$/);
    expect(err).toMatch(/shown this once/);
    const id = out.split('.')[0] ?? '';
    const asViewer = { SAGE_URL: gateway.origin, SAGE_API_KEY: out.trim() };
    expect((await sage(['agents', 'list'], { folder, env: asViewer })).code).toBe(0);
    const refused = await sageJson(['agents', 'remove', 'echo'], { folder, env: asViewer });
    expect(refused).toMatchObject({
      code: 5,
      error: { code: 'unauthorised', gateway: { code: 'operator_forbidden' } },
    });

    expect((await run('keys', 'rotate', id, '--grace', '0', '--out', 'new.key')).code).toBe(0);
    expect(statSync(file('new.key')).mode & 0o777).toBe(0o600);
    expect((await sage(['status'], { folder, env: asViewer })).code).toBe(5);
    const byFile = { SAGE_URL: gateway.origin };
    expect((await sage(['status', '--key-file', 'new.key'], { folder, env: byFile })).code).toBe(0);
    expect((await run('keys', 'list')).out).toContain('grafana');
    expect((await run('keys', 'revoke', id)).code).toBe(0);
    expect((await sage(['status', '--key-file', 'new.key'], { folder, env: byFile })).code).toBe(5);
  });

  test('a file that is there keeps a key from being made', async () => {
    writeFileSync(file('taken.key'), 'mine');
    const before = (await json('keys', 'list')).data.items.length;
    expect((await json('keys', 'create', 'lost', '--out', 'taken.key')).error).toMatchObject({
      code: 'file_exists',
    });
    expect((await json('keys', 'list')).data.items).toHaveLength(before);
    expect(readFileSync(file('taken.key'), 'utf8')).toBe('mine');
    expect((await json('keys', 'create', 'x', '--expires', 'yesterday', '--out', 'free.key')).code).toBe(1);
    expect(() => statSync(file('free.key'))).toThrow('ENOENT');
  });
});

test('a refused request is explained by its id', async () => {
  const call = signed(alice, gateway.origin, { method: 'GET', target: '/agents/echo/x' });
  await send(gateway, call);
  const { body } = await send(gateway, call);
  const { request_id: id } = JSON.parse(body);
  const story = await run('explain', id);
  expect(story.code).toBe(0);
  expect(story.out).toMatch(/GET \/agents\/echo\/x from 127\.0\.0\.1/);
  expect(story.out).toContain(alice.did);
  expect(story.out).toMatch(/^\[-\] refused with 401 nonce_replayed$/m);
});

describe('who may', () => {
  test('an operator of sage.yaml signs instead of holding a key', async () => {
    const only = { SAGE_URL: gateway.origin };
    expect((await sage(['agents', 'list', '--sign-with', 'ops.jwk'], { folder, env: only })).code).toBe(0);
    const add = ['agents', 'add', 'by-signature', '--upstream', agent.url, '--sign-with', 'ops.jwk'];
    expect((await sageJson(add, { folder, env: only })).data).toMatchObject({ updated_by: signedAs });
    expect((await sageJson(['keys', 'list', '--sign-with', 'ops.jwk'], { folder, env: only })).code).toBe(5);
    await run('agents', 'remove', 'by-signature');
  });

  test('without a credential nothing is sent to another machine, and no key over http:', async () => {
    const none = await sageJson(['status', '--url', 'https://gateway.example'], { folder });
    expect(none).toMatchObject({ code: 5, error: { code: 'credential_missing' } });
    const clear = await sageJson(['status', '--url', 'http://gateway.example'], {
      folder,
      env: { SAGE_API_KEY: 'x' },
    });
    expect(clear).toMatchObject({ code: 2, error: { code: 'url_insecure' } });
  });

  test("the profile's key goes to the profile's gateway alone", async () => {
    const heard: (string | undefined)[] = [];
    const stranger = createServer((request, response) => {
      heard.push(request.headers.authorization);
      response
        .writeHead(401, { 'content-type': 'application/problem+json' })
        .end('{"code":"x","detail":"no"}');
    });
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    mkdirSync(file('config/sage'), { recursive: true });
    writeFileSync(
      file('config/sage/profile.json'),
      JSON.stringify({ url: gateway.origin, api_key: OPERATOR_KEY }),
      { mode: 0o600 },
    );
    const home = { XDG_CONFIG_HOME: file('config') };
    expect((await sage(['status'], { folder, env: home })).code).toBe(0);
    const url = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`;
    expect((await sage(['status', '--url', url], { folder, env: home })).code).toBe(5);
    expect(heard).toEqual([undefined]);
    stranger.close();
  });
});

describe('a gateway that does not answer as one', () => {
  test('nobody listens', async () => {
    const answer = await sageJson(['status', '--url', 'http://127.0.0.1:1'], { folder });
    expect(answer).toMatchObject({ code: 4, error: { code: 'gateway_unreachable' } });
  });

  test('it hangs up in the middle of its answer, or is none', async () => {
    const answers = [
      (response: ServerResponse) => {
        response.writeHead(200, { 'content-length': '100' }).write('{');
        setImmediate(() => response.destroy());
      },
      (response: ServerResponse) => void response.end('<html>'),
    ];
    const other = createServer((_request, response) => answers.shift()?.(response));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    const ask = () => sageJson(['status', '--url', url], { folder });
    expect(await ask()).toMatchObject({ code: 4, error: { code: 'gateway_unreachable' } });
    expect(await ask()).toMatchObject({ code: 1, error: { code: 'answer_unreadable' } });
    other.close();
  });
});

test('migrations are told, taken back and applied', async () => {
  const settings = { DATA_DIR: file('data'), CONFIG_FILE: file('none.yaml') };
  const at = (...words: string[]) => sageJson(['migrate', ...words], { folder, env: settings });
  expect((await at('up')).data).toMatchObject({
    kind: 'sqlite',
    changed: expect.arrayContaining(['0001_operators']),
  });
  expect((await at('status')).data.migrations[0]).toMatchObject({ state: 'applied' });
  expect((await at('down', '--to', '0')).data.changed).toContain('0001_operators');
  expect((await at('status')).data.migrations[0]).toMatchObject({ state: 'pending' });
  const bad = await sageJson(['migrate', 'status'], {
    folder,
    env: { ...settings, DATABASE_URL: 'postgres://127.0.0.1:1/x' },
  });
  expect(bad).toMatchObject({
    code: 1,
    error: { code: 'store_failed', message: expect.stringContaining('STORE_UNAVAILABLE') },
  });
});
