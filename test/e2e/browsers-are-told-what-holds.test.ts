import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { OPERATOR_KEY } from './support/operator.ts';

const PAGE = 'https://console.example';
const OWN = ['/health/live', '/health/ready', '/health/detailed', '/metrics', '/v1/agents', '/v1/nothing'];
const HELMET = ['content-security-policy', 'x-content-type-options', 'x-frame-options', 'referrer-policy'];
let agent: TestAgent;
let plain: TestGateway;
let listed: TestGateway;

beforeAll(async () => {
  agent = await startAgent({ answer: (_request, response) => void response.end('of the agent') });
  const open = (env: Record<string, string>) =>
    openGateway({
      agents: [`{ id: echo, upstreams: ["${agent.url}"], authentication: none }`],
      env: { OPERATOR_API_KEY: OPERATOR_KEY, ...env },
      atOnce: true,
    });
  [plain, listed] = await Promise.all([open({}), open({ CORS_ORIGINS: `${PAGE},https://other.example` })]);
});
afterAll(async () => {
  await Promise.all([plain.close(), listed.close()]);
  await agent.stop();
});

const ask = async (
  gateway: TestGateway,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
) => {
  const answer = await fetch(`${gateway.origin}${path}`, { method, headers });
  await answer.arrayBuffer();
  return answer;
};
const cors = (answer: Response) =>
  [...answer.headers.keys()].filter((name) => name.startsWith('access-control-'));
const preflight = (gateway: TestGateway, path: string, origin: string) =>
  ask(
    gateway,
    path,
    { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    'OPTIONS',
  );

describe('our own answers', () => {
  test('may be stored by nobody, framed by nobody and run nothing, refused or not', async () => {
    for (const path of OWN)
      for (const headers of [{}, { authorization: `Bearer ${OPERATOR_KEY}` }] as Record<string, string>[]) {
        const answer = await ask(plain, path, headers);
        expect(answer.headers.get('cache-control'), path).toBe('no-store');
        expect(answer.headers.get('content-security-policy'), path).toBe(
          "default-src 'none';frame-ancestors 'none'",
        );
        expect(answer.headers.get('x-frame-options')).toBe('DENY');
        expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
        // Over cleartext there is nothing to insist on.
        expect(answer.headers.get('strict-transport-security')).toBeNull();
      }
  });

  test('over TLS tell browsers to stay there', async () => {
    await using secure = await openGateway({
      agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'],
      tls: true,
      atOnce: true,
    });
    const { request } = await import('node:https');
    const field = await new Promise((resolve, reject) => {
      request(
        {
          host: '127.0.0.1',
          port: secure.port,
          path: '/health/live',
          ca: secure.ca,
          servername: 'localhost',
        },
        (answer) => {
          answer.resume();
          resolve(answer.headers['strict-transport-security']);
        },
      )
        .on('error', reject)
        .end();
    });
    expect(field).toBe('max-age=31536000');
  });
});

test('answers of agents are theirs', async () => {
  for (const gateway of [plain, listed])
    for (const path of ['/agents/echo/', '/agents/nobody/']) {
      const answer = await ask(gateway, path, { origin: PAGE });
      for (const name of HELMET) expect(answer.headers.get(name), `${path} ${name}`).toBeNull();
      expect(cors(answer), path).toEqual([]);
    }
  const answer = await preflight(listed, '/agents/echo/', PAGE);
  // The agent was asked, and answered as it answers.
  expect([answer.status, cors(answer)]).toEqual([200, []]);
});

describe('pages of other origins', () => {
  test('get no word about origins unless some are listed', async () => {
    const asked = await preflight(plain, '/v1/agents', PAGE);
    expect([asked.status, cors(asked)]).toEqual([401, []]);
    const answer = await ask(plain, '/v1/agents', { origin: PAGE, authorization: `Bearer ${OPERATOR_KEY}` });
    expect([answer.status, cors(answer)]).toEqual([200, []]);
  });

  test('may ask when they are listed, before any credential, and are given none', async () => {
    const asked = await preflight(listed, '/v1/api-keys', PAGE);
    expect(asked.status).toBe(204);
    expect(asked.headers.get('access-control-allow-origin')).toBe(PAGE);
    expect(asked.headers.get('access-control-allow-methods')).toContain('DELETE');
    expect(asked.headers.get('access-control-allow-headers')).toContain('authorization');
    expect(asked.headers.get('access-control-allow-credentials')).toBeNull();
    expect(asked.headers.get('vary')?.toLowerCase()).toContain('origin');
    const refused = await ask(listed, '/v1/agents', { origin: PAGE });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, PAGE]);
    const answer = await ask(listed, '/v1/agents', { origin: PAGE, authorization: `Bearer ${OPERATOR_KEY}` });
    expect(answer.headers.get('access-control-expose-headers')).toContain('etag');
  });

  test('that are not listed get nothing, however alike', async () => {
    for (const origin of [
      'https://evil.example',
      `${PAGE}.evil.example`,
      'http://console.example',
      'null',
      `${PAGE}:444`,
    ]) {
      const asked = await preflight(listed, '/v1/agents', origin);
      expect([asked.status, cors(asked)], origin).toEqual([401, []]);
    }
  });

  test('reach /v1 alone', async () => {
    for (const path of ['/metrics', '/health/detailed', '/health/live'])
      expect(
        cors(await ask(listed, path, { origin: PAGE, authorization: `Bearer ${OPERATOR_KEY}` })),
        path,
      ).toEqual([]);
  });
});

test('a page cannot use what development opens to this machine', async () => {
  await using open = await openGateway({
    agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'],
    env: { SAGE_ENV: 'development' },
    atOnce: true,
  });
  expect((await ask(open, '/v1/agents')).status).toBe(200);
  expect((await ask(open, '/v1/agents', { origin: open.origin })).status).toBe(200);
  expect((await ask(open, '/v1/agents', { origin: 'http://evil.example' })).status).toBe(403);
  expect((await ask(open, '/v1/agents', { origin: 'null' })).status).toBe(403);
  expect((await ask(open, '/v1/agents', { authorization: 'Bearer wrong' })).status).toBe(403);
});
