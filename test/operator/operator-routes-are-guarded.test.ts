import { request } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { API_KEY, type Gateway, startGateway } from './support.ts';

const GUARDED = ['/metrics', '/health/detailed', '/v1/circuits', '/v1/agents'];
let gateway: Gateway;
afterEach(() => gateway.app.close());

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${gateway.origin}${path}`, { headers });

/** `fetch` does not send a Host of one's own. */
function getAs(host: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request(`${gateway.origin}${path}`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

describe('with a key configured', () => {
  const refused: [name: string, query: string, headers: Record<string, string>][] = [
    ['no key', '', {}],
    ['a wrong key', '', { authorization: `Bearer ${API_KEY.replace('o', '0')}` }],
    ['the start of the key', '', { authorization: `Bearer ${API_KEY.slice(0, -1)}` }],
    ['more than the key', '', { authorization: `Bearer ${API_KEY}x` }],
    ['the key in a query', `?api_key=${API_KEY}&access_token=${API_KEY}&token=${API_KEY}`, {}],
    ['the key as x-api-key', '', { 'x-api-key': API_KEY }],
    ['the key as a cookie', '', { cookie: `token=${API_KEY}` }],
    ['the key without a scheme', '', { authorization: API_KEY }],
    ['the key as basic', '', { authorization: `Basic ${btoa(`operator:${API_KEY}`)}` }],
    ['an enormous key', '', { authorization: `Bearer ${API_KEY.padEnd(8000, 'x')}` }],
  ];
  test.each(refused)('%s is refused everywhere', async (_name, query, headers) => {
    gateway = await startGateway({ openOnLoopback: true });
    for (const path of GUARDED) {
      const response = await get(path + query, headers);
      expect(response.status, path).toBe(401);
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer realm="sage-gateway"/);
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(await response.json()).toMatchObject({ code: 'operator_unauthenticated' });
    }
  });

  test('the key opens every route, whatever the case of the scheme', async () => {
    gateway = await startGateway();
    gateway.health.configured();
    for (const path of GUARDED) {
      expect((await get(path, { authorization: `Bearer ${API_KEY}` })).status, path).toBe(200);
      expect((await get(path, { authorization: `bearer  ${API_KEY}` })).status, path).toBe(200);
    }
  });
});

describe('without a key', () => {
  test('the routes are closed, and say what is missing', async () => {
    gateway = await startGateway({ apiKey: null });
    for (const path of GUARDED) {
      const response = await get(path, { authorization: 'Bearer anything' });
      expect(response.status, path).toBe(403);
      expect(await response.json()).toMatchObject({ code: 'operator_access_not_configured' });
    }
  });

  test('they open in development to this machine alone', async () => {
    gateway = await startGateway({ apiKey: null, openOnLoopback: true });
    expect((await get('/v1/agents')).status).toBe(200);
    // A proxy on this machine, and a web page whose name points here, speak for somebody else.
    expect((await get('/v1/agents', { 'x-forwarded-for': '127.0.0.1' })).status).toBe(403);
    expect((await get('/v1/agents', { forwarded: 'for=127.0.0.1' })).status).toBe(403);
    expect(await getAs('rebound.example', '/v1/agents')).toBe(403);
    expect(await getAs('localhost:8080', '/v1/agents')).toBe(200);
  });
});

test('liveness and readiness are open and say nothing but the state', async () => {
  gateway = await startGateway({ apiKey: null });
  gateway.health.configured();
  for (const path of ['/health/live', '/health/ready']) {
    const response = await get(path);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^application\/health\+json/);
    expect(await response.text()).toBe('{"status":"pass"}');
  }
});

test('circuits and agents are listed, without paths or credentials', async () => {
  gateway = await startGateway();
  expect(await (await gateway.ask('/v1/circuits')).json()).toEqual({
    items: [
      {
        agent_id: 'weather',
        instance: 'http://127.0.0.1:9100',
        state: 'open',
        since: '1970-01-01T00:00:00.000Z',
      },
      {
        agent_id: 'weather',
        instance: 'http://127.0.0.1:9101',
        state: 'closed',
        since: '1970-01-01T00:00:00.000Z',
      },
    ],
    next: null,
  });
  const agents = await (await gateway.ask('/v1/agents')).text();
  expect(JSON.parse(agents)).toMatchObject({
    next: null,
    items: [
      {
        id: 'weather',
        did: 'did:web:weather.example',
        authentication: 'required',
        upstreams: [{ url: 'http://127.0.0.1:9100', protocol: 'http/1.1' }],
        source: 'file',
      },
    ],
  });
  expect(agents).not.toContain('hunter2');
});
