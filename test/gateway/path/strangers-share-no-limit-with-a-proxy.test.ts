import { expect, test } from 'vitest';
import { codeOf, head, sendRaw, startPath, statusOf } from './support.ts';

/** Of the routes that are not agents'. */
const CALLS_A_MINUTE = 600;
/** No connection may have more than 128 that wait. */
const CALLS_A_CONNECTION = 100;

test('behind a trusted proxy, one caller cannot spend what health probes need', async () => {
  const path = await startPath({ TRUSTED_PROXIES: '127.0.0.1' });
  const ask = (address: string | null, more: string[] = []): string =>
    head(path, 'GET /health/ready', address === null ? [] : [['X-Forwarded-For', address]], more);
  const last = ask('203.0.113.9', ['Connection: close']);
  const flood = ask('203.0.113.9').repeat(CALLS_A_CONNECTION - 1) + last;
  for (let calls = 0; calls < CALLS_A_MINUTE; calls += CALLS_A_CONNECTION)
    expect(statusOf(await sendRaw(path.port, flood))).toBe(200);
  // Ten come back each second, and the flood took a moment.
  let code = '';
  for (let more = 0; code === '' && more < CALLS_A_MINUTE; more += 1)
    code = codeOf(await sendRaw(path.port, last));
  expect(code).toBe('address_rate_limited');
  expect(statusOf(await sendRaw(path.port, ask('203.0.113.10', ['Connection: close'])))).toBe(200);
  expect(statusOf(await sendRaw(path.port, ask(null, ['Connection: close'])))).toBe(200);
});

test("wrong operator keys of one caller do not lock the operator out of his proxy's address", async () => {
  const key = 'an-operator-key-of-more-than-32-characters';
  const path = await startPath({ TRUSTED_PROXIES: '127.0.0.1', OPERATOR_API_KEY: key });
  const ask = (address: string, presented: string): Promise<string> =>
    sendRaw(
      path.port,
      head(
        path,
        'GET /metrics',
        [['X-Forwarded-For', address]],
        ['Connection: close', `Authorization: Bearer ${presented}`],
      ),
    );
  let last = '';
  for (let tries = 0; tries < 11; tries++) last = await ask('203.0.113.9', 'guess');
  expect([statusOf(last), codeOf(last)]).toEqual([429, 'operator_attempts_limited']);
  expect(statusOf(await ask('203.0.113.10', key))).toBe(200);
});
