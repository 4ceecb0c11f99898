import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openGateway, type TestGateway } from '../support/gateway.ts';
import { type Json, OPERATOR_KEY, operate } from './support/operator.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await openGateway({
    agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'],
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
    atOnce: true,
  });
});
afterAll(() => gateway.close());

const post = (body: unknown, headers: Record<string, string> = {}) =>
  operate(gateway, 'POST', '/v1/api-keys', { body, headers });
const keys = async (): Promise<number> =>
  (await operate(gateway, 'GET', '/v1/api-keys?limit=500')).body.items.length;

describe('a body', () => {
  const texts: [name: string, text: string, code: string][] = [
    ['cut short', '{"name": "x", "role": "view', 'body_not_json'],
    ['that is empty', '', 'body_not_json'],
    ['with a comment', '{"name": "x", "role": "viewer"} // ', 'body_not_json'],
    ['of bytes', '\u0000\u0001', 'body_not_json'],
    ['with __proto__', '{"name": "x", "role": "viewer", "__proto__": {"role": "admin"}}', 'body_not_json'],
    ['that is a list', '[]', 'request_invalid'],
    ['that is null', 'null', 'request_invalid'],
    ['that is a number', '1e999', 'request_invalid'],
  ];
  test.each(texts)('%s is refused', async (_name, text, code) => {
    const { status, body, headers } = await post(text, { 'content-type': 'application/json' });
    expect([status, body.code]).toEqual([400, code]);
    expect(headers.get('content-type')).toBe('application/problem+json');
    expect(body.request_id).toBe(headers.get('x-request-id'));
  });

  const members: [name: string, change: Record<string, unknown>, path: string][] = [
    ['one nobody knows', { rôle: 'admin' }, '/rôle'],
    ['one in another case', { Scopes: [] }, '/Scopes'],
    ['one of another type', { name: 7 }, '/name'],
    ['a text for a list', { scopes: 'agents:read' }, '/scopes'],
    ['a bad entry', { scopes: ['agents:read', 'agents:all'] }, '/scopes/1'],
    ['a wrong date', { expires_at: 'tomorrow' }, '/expires_at'],
    ['a date that is none', { expires_at: '2027-02-30T00:00:00Z' }, '/expires_at'],
    ['one too long', { name: 'n'.repeat(101) }, '/name'],
    ['a line break', { name: 'a\nb' }, '/name'],
  ];
  test.each(members)('with %s is told which', async (_name, change, path) => {
    const { status, body } = await post({ name: 'x', role: 'viewer', ...change });
    expect([status, body.code]).toEqual([400, 'request_invalid']);
    expect(body.errors.map((each: Json) => each.path)).toContain(path);
    for (const { message } of body.errors) expect(message.length).toBeGreaterThan(4);
  });

  test('with several faults is told all of them', async () => {
    const { body } = await post({ role: 'root', extra: 1 });
    expect(body.errors.length).toBe(3);
  });

  test('of another type, or too large, is not read', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/xml',
    ])
      expect((await post('{}', { 'content-type': type })).body, type).toMatchObject({
        status: 415,
        code: 'media_type_unsupported',
      });
    const large = await post(JSON.stringify({ name: 'x'.repeat(1_100_000) }), {
      'content-type': 'application/json',
    });
    expect(large.body).toMatchObject({ status: 413, code: 'body_too_large' });
  });
});

test('a client that waits to be asked for its body is asked once it may send one', async () => {
  const send = (key: string) =>
    new Promise<{ asked: boolean; status: number }>((resolve, reject) => {
      let asked = false;
      const headers = {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        expect: '100-continue',
      };
      const options = {
        host: '127.0.0.1',
        port: gateway.port,
        path: '/v1/policy/validate',
        method: 'POST',
        headers,
      };
      const sent = request(options, (answer) => {
        answer.resume();
        resolve({ asked, status: answer.statusCode ?? 0 });
      });
      sent.on('continue', () => {
        asked = true;
        sent.end('{"text": "x"}');
      });
      sent.on('error', reject);
      sent.flushHeaders();
    });
  expect(await send(OPERATOR_KEY)).toEqual({ asked: true, status: 200 });
  expect(await send('wrong')).toEqual({ asked: false, status: 401 });
});

test('what was refused left nothing behind', async () => {
  expect(await keys()).toBe(0);
});

test('one key of idempotency, sent ten times at once, acts once', async () => {
  const before = await keys();
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => post({ name: 'x', role: 'viewer' }, { 'idempotency-key': 'at-once' })),
  );
  const made = answers.filter(({ status }) => status === 201);
  const ids = new Set(made.map(({ body }) => body.id));
  expect(ids.size).toBe(1);
  expect(made.filter(({ body }) => body.key !== null).length).toBe(1);
  for (const { status, body, headers } of answers)
    if (status !== 201) {
      expect([status, body.code, headers.get('retry-after')]).toEqual([409, 'idempotency_running', '1']);
    }
  expect(await keys()).toBe(before + 1);
});
