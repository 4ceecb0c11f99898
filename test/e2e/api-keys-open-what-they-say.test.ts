import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeFolder, openGateway, type TestGateway } from '../support/gateway.ts';
import { newCaller } from './support/callers.ts';
import { type Json, OPERATOR_KEY, operate } from './support/operator.ts';

const folder = makeFolder();
const DID = newCaller().did;
let gateway: TestGateway;
const open = (env: Record<string, string> = { OPERATOR_API_KEY: OPERATOR_KEY }) =>
  openGateway({ agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'], env, folder, atOnce: true });

beforeAll(async () => {
  gateway = await open();
});
afterAll(async () => {
  await gateway.close();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (method: string, path: string, more = {}) => operate(gateway, method, path, more);
async function make(body: object, key = OPERATOR_KEY): Promise<Json> {
  const made = await ask('POST', '/v1/api-keys', { body, key });
  if (made.status !== 201) throw new Error(JSON.stringify(made.body));
  return made.body;
}
/** 401 for whatever is refused: after ten such keys in a minute the answer is 429 instead. */
async function statusWith(key: string, path = '/v1/agents'): Promise<number> {
  const { status } = await ask('GET', path, { key });
  return status === 429 ? 401 : status;
}

describe('a key', () => {
  test('is shown once, says whose it is, and is stored as a hash', async () => {
    const made = await ask('POST', '/v1/api-keys', { body: { name: 'grafana', role: 'viewer' } });
    expect(made.status).toBe(201);
    expect(made.body.key).toMatch(/^sage_[\w-]{12}\.[\w-]{43}$/);
    expect(made.headers.get('location')).toBe(`/v1/api-keys/${made.body.id}`);
    const shown = await ask('GET', `/v1/api-keys/${made.body.id}`);
    expect(shown.body).toMatchObject({
      name: 'grafana',
      role: 'viewer',
      scopes: null,
      created_by: 'key:bootstrap',
    });
    expect(shown.body).not.toHaveProperty('key');
    const secret = made.body.key.split('.')[1];
    const rows = JSON.stringify(await gateway.app.database.apiKeys.all());
    expect(rows).toContain(made.body.id);
    expect(rows).not.toContain(secret);
    expect(JSON.stringify(gateway.lines)).not.toContain(secret);

    const who = await ask('GET', '/v1/whoami', { key: made.body.key });
    expect(who.body).toMatchObject({
      actor: `key:${made.body.id}`,
      method: 'api_key',
      role: 'viewer',
      expires_at: null,
    });
  });

  test('opens what its role may, and says what it lacks', async () => {
    const { key: viewer } = await make({ name: 'v', role: 'viewer' });
    const { key: operator } = await make({ name: 'o', role: 'operator' });
    expect(await statusWith(viewer)).toBe(200);
    expect(await statusWith(viewer, '/health/detailed')).toBe(200);
    const refused = await ask('POST', '/v1/revocations', { key: viewer, body: { did: DID } });
    expect(refused.body).toMatchObject({ status: 403, code: 'operator_forbidden' });
    expect(refused.body.detail).toContain('revocations:write');
    expect(await statusWith(viewer, '/v1/api-keys')).toBe(403);
    expect(await statusWith(operator, '/v1/api-keys')).toBe(403);
    const denied = await ask('POST', '/v1/revocations', {
      key: operator,
      body: { did: DID },
    });
    expect(denied.status).toBe(201);
  });

  test('is narrowed by its scopes', async () => {
    const { key } = await make({ name: 'scrape', role: 'viewer', scopes: ['telemetry:read'] });
    expect(await statusWith(key, '/health/detailed')).toBe(200);
    expect(await statusWith(key, '/v1/status')).toBe(200);
    expect(await statusWith(key)).toBe(403);
    const beyond = await ask('POST', '/v1/api-keys', {
      body: { name: 'x', role: 'viewer', scopes: ['agents:read', 'agents:write'] },
    });
    expect(beyond.body).toMatchObject({ code: 'request_invalid', errors: [{ path: '/scopes/1' }] });
  });

  test('ends at its time', async () => {
    const late = new Date(Date.now() + 700).toISOString();
    const { key } = await make({ name: 'brief', role: 'viewer', expires_at: late });
    expect(await statusWith(key)).toBe(200);
    expect((await ask('GET', '/v1/whoami', { key })).body.expires_at).toBe(late);
    await expect.poll(() => statusWith(key), { timeout: 3_000 }).toBe(401);
    const past = await ask('POST', '/v1/api-keys', {
      body: { name: 'x', role: 'viewer', expires_at: '2020-01-01T00:00:00Z' },
    });
    expect(past.body).toMatchObject({ code: 'request_invalid', errors: [{ path: '/expires_at' }] });
  });

  test('with another secret, or another id, opens nothing', async () => {
    const { key } = await make({ name: 'a', role: 'viewer' });
    const { key: other } = await make({ name: 'b', role: 'viewer' });
    const [id, secret] = key.split('.');
    const wrong = [
      `${id}.${other.split('.')[1]}`,
      `${id}.`,
      id,
      `sage_000000000000.${secret}`,
      secret,
      `${key}x`,
    ];
    for (const text of wrong) expect(await statusWith(text), text).toBe(401);
  });
});

describe('rotation', () => {
  test('lets two secrets live until the grace ends', async () => {
    const { id, key: first } = await make({ name: 'r', role: 'viewer' });
    const second = (await ask('POST', `/v1/api-keys/${id}/rotate`, { body: { grace_seconds: 1 } })).body;
    expect(second.key).not.toBe(first);
    expect(second.rotating_until).not.toBeNull();
    expect([await statusWith(first), await statusWith(second.key)]).toEqual([200, 200]);
    await expect.poll(() => statusWith(first), { timeout: 3_000 }).toBe(401);
    expect(await statusWith(second.key)).toBe(200);
  });

  test('a third secret ends the first, and no grace ends the old one at once', async () => {
    const { id, key: first } = await make({ name: 'r', role: 'viewer' });
    const { key: second } = (await ask('POST', `/v1/api-keys/${id}/rotate`)).body;
    const { key: third } = (await ask('POST', `/v1/api-keys/${id}/rotate`)).body;
    expect([await statusWith(first), await statusWith(second), await statusWith(third)]).toEqual([
      401, 200, 200,
    ]);
    const { key: last } = (await ask('POST', `/v1/api-keys/${id}/rotate`, { body: { grace_seconds: 0 } }))
      .body;
    expect([await statusWith(third), await statusWith(last)]).toEqual([401, 200]);
  });

  test('of a revoked or unknown key is refused', async () => {
    const { id } = await make({ name: 'gone', role: 'viewer' });
    await ask('DELETE', `/v1/api-keys/${id}`);
    expect((await ask('POST', `/v1/api-keys/${id}/rotate`)).status).toBe(404);
    expect((await ask('POST', '/v1/api-keys/sage_nothing/rotate')).status).toBe(404);
    expect(
      (await ask('POST', `/v1/api-keys/${id}/rotate`, { body: { grace_seconds: 99_999_999 } })).status,
    ).toBe(400);
  });
});

test('a revoked key is refused from then on', async () => {
  const { id, key } = await make({ name: 'r', role: 'operator' });
  expect(await statusWith(key)).toBe(200);
  expect((await ask('DELETE', `/v1/api-keys/${id}`)).status).toBe(204);
  expect(await statusWith(key)).toBe(401);
  expect((await ask('GET', `/v1/api-keys/${id}`)).body.revoked_at).not.toBeNull();
});

describe('nobody hands out more than he has', () => {
  test('neither a role nor a scope, nor by rotating the key of somebody who has more', async () => {
    const narrow = await make({
      name: 'n',
      role: 'admin',
      scopes: ['keys:read', 'keys:write', 'agents:read'],
    });
    const admin = await make({ name: 'full', role: 'admin' });
    const by = (body: object) => ask('POST', '/v1/api-keys', { key: narrow.key, body });
    expect((await by({ name: 'x', role: 'admin' })).body.code).toBe('operator_forbidden');
    expect((await by({ name: 'x', role: 'operator' })).body.code).toBe('operator_forbidden');
    expect((await by({ name: 'x', role: 'viewer', scopes: ['policy:read'] })).body.code).toBe(
      'operator_forbidden',
    );
    expect((await by({ name: 'x', role: 'viewer', scopes: ['agents:read'] })).status).toBe(201);
    const revoked = await ask('DELETE', `/v1/api-keys/${admin.id}`, { key: narrow.key });
    expect([revoked.status, revoked.body.code]).toEqual([403, 'operator_forbidden']);
    const rotated = await ask('POST', `/v1/api-keys/${admin.id}/rotate`, { key: narrow.key });
    expect(rotated.body.code).toBe('operator_forbidden');
    expect(await statusWith(admin.key)).toBe(200);
  });
});

test('a creation that is sent twice makes one key, and tells its secret once', async () => {
  const headers = { 'idempotency-key': 'make-1' };
  const body = { name: 'once', role: 'viewer' };
  const first = await ask('POST', '/v1/api-keys', { headers, body });
  const second = await ask('POST', '/v1/api-keys', { headers, body });
  expect([first.status, second.status]).toEqual([201, 201]);
  expect(first.headers.get('idempotency-replayed')).toBeNull();
  expect(second.headers.get('idempotency-replayed')).toBe('true');
  expect(second.headers.get('location')).toBe(first.headers.get('location'));
  expect(second.body).toEqual({ ...first.body, key: null });
  const other = await ask('POST', '/v1/api-keys', { headers, body: { ...body, name: 'other' } });
  expect(other.body.code).toBe('idempotency_key_reused');
  // Another actor's key is another key.
  const { key } = await make({ name: 'second admin', role: 'admin' });
  expect(
    (await ask('POST', '/v1/api-keys', { headers, body, key })).headers.get('idempotency-replayed'),
  ).toBeNull();
  // What was refused did nothing, and may be mended and sent again.
  const bad = { headers: { 'idempotency-key': 'make-2' }, body: { name: 'x', role: 'nobody' } };
  expect((await ask('POST', '/v1/api-keys', bad)).status).toBe(400);
  expect((await ask('POST', '/v1/api-keys', { ...bad, body })).status).toBe(201);
  expect((await ask('POST', '/v1/api-keys', { headers: { 'idempotency-key': 'a b' }, body })).status).toBe(
    400,
  );
});

test('keys outlive a restart, and their use is noted', async () => {
  const { id, key } = await make({ name: 'lasting', role: 'viewer' });
  expect(await statusWith(key)).toBe(200);
  await gateway.close();
  gateway = await open();
  expect(await statusWith(key)).toBe(200);
  expect((await ask('GET', `/v1/api-keys/${id}`)).body.last_used_at).not.toBeNull();
});

test('pages of keys follow each other and end', async () => {
  const seen: string[] = [];
  let path = '/v1/api-keys?limit=3';
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await ask('GET', path);
    seen.push(...body.items.map(({ id }: Json) => id));
    cursor = body.next;
    path = `/v1/api-keys?limit=3&cursor=${cursor}`;
  }
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.length).toBeGreaterThan(10);
  for (const query of [
    'limit=501',
    'limit=0',
    'limit=x',
    'limit=1&limit=2',
    'cursor=bm9uZQ',
    'cursor=!',
    'page=2',
  ]) {
    const { body } = await ask('GET', `/v1/api-keys?${query}`);
    expect(body, query).toMatchObject({
      status: 400,
      code: 'request_invalid',
      errors: [{ message: expect.any(String) }],
    });
  }
});

test('the last admin stays, unless the environment names another', async () => {
  const { id, key } = await make({ name: 'root', role: 'admin' });
  const { items } = (await ask('GET', '/v1/api-keys?limit=500')).body;
  for (const row of items) if (row.id !== id) await ask('DELETE', `/v1/api-keys/${row.id}`);
  await gateway.close();
  gateway = await open({});
  // Without OPERATOR_API_KEY the stored keys alone open the routes.
  expect(await statusWith(OPERATOR_KEY)).toBe(401);
  expect((await ask('DELETE', `/v1/api-keys/${id}`, { key })).body.code).toBe('last_admin');
  const next = await make({ name: 'next', role: 'admin' }, key);
  expect((await ask('DELETE', `/v1/api-keys/${id}`, { key })).status).toBe(204);
  expect(await statusWith(key)).toBe(401);
  expect(await statusWith(next.key)).toBe(200);
});
