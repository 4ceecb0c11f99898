import { connect } from 'node:http2';
import { expect, test } from 'vitest';
import { codeOf, head, sendRaw, startPath, statusOf } from './support.ts';

const KEY = 'an-operator-key-of-more-than-32-characters';

test('who has no operator key is told so, by status, code and challenge', async () => {
  const path = await startPath({ OPERATOR_API_KEY: KEY });
  const ask = (target: string, more: string[] = []): Promise<string> =>
    sendRaw(path.port, head(path, `GET ${target}`, [], ['Connection: close', ...more]));

  for (const target of ['/metrics', '/%6detrics', '/health/detailed', '/v1/agents', '/v1/circuits']) {
    const answer = await ask(target);
    expect([statusOf(answer), codeOf(answer)], target).toEqual([401, 'operator_unauthenticated']);
    expect(answer).toMatch(/^content-type: application\/problem\+json\r$/im);
    expect(answer).toMatch(/^www-authenticate: Bearer/im);
    expect(statusOf(await ask(target, [`Authorization: Bearer ${KEY}`])), target).toBe(200);
  }
  expect(statusOf(await ask('//metrics', [`Authorization: Bearer ${KEY}`]))).toBe(404);

  const session = connect(path.origin);
  const status = await new Promise((resolve) => {
    session.request({ ':path': '/metrics' }).on('response', (fields) => resolve(fields[':status']));
  });
  session.destroy();
  expect(status).toBe(401);
});

test('without a key configured the routes are closed, and say so', async () => {
  const path = await startPath();
  const answer = await sendRaw(path.port, head(path, 'GET /metrics', [], ['Connection: close']));
  expect([statusOf(answer), codeOf(answer)]).toEqual([403, 'operator_access_not_configured']);
});
