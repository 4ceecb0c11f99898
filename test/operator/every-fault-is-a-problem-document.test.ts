import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { API_KEY, type Gateway, startGateway } from './support.ts';

let gateway: Gateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.app.close());

async function ask(path: string, init: RequestInit = {}) {
  const response = await fetch(`${gateway.origin}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${API_KEY}`, ...(init.headers as Record<string, string>) },
  });
  const body = (await response.json()) as Record<string, unknown>;
  return { response, body };
}

describe('what is not served', () => {
  test('is unknown, whatever it carries', async () => {
    for (const path of ['/v1/nothing', '/v1/agents/x/y/z', '/v1/', `/v1/agents/${'x'.repeat(300)}`]) {
      const { response, body } = await ask(path);
      expect([response.status, body.code], path).toEqual([404, 'resource_unknown']);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(body).toMatchObject({
        type: 'urn:sage:problem:resource_unknown',
        status: 404,
        retryable: false,
      });
      expect(body.request_id).toBe(response.headers.get('x-request-id'));
    }
    const { body } = await ask('/v1/nothing', {
      method: 'POST',
      body: '<a/>',
      headers: { 'content-type': 'text/xml' },
    });
    expect(body.code).toBe('resource_unknown');
  });

  test('by another method names the methods that are', async () => {
    const { response, body } = await ask('/v1/circuits', { method: 'DELETE' });
    expect([response.status, body.code]).toEqual([405, 'method_not_allowed']);
    expect(response.headers.get('allow')).toMatch(/^GET, HEAD/);
  });

  test('is not told to strangers', async () => {
    const response = await fetch(`${gateway.origin}/v1/nothing`);
    expect(response.status).toBe(401);
  });
});
