import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, expect, test } from 'vitest';
import { openGateway, policyOf } from '../support/gateway.ts';
import { newCaller } from './support/callers.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';

const CHANNELS = [
  'sage:agents',
  'sage:policy',
  'sage:revocation',
  'sage:revocation.lifted',
  'sage:block',
  'sage:unblock',
];
const heard: [string, unknown][] = [];
const listeners = CHANNELS.map(
  (name) => [name, (message: unknown) => void heard.push([name, message])] as const,
);
afterEach(() => {
  for (const [name, listener] of listeners) unsubscribe(name, listener);
});

test('each change is published once, with who made it, when it is in force', async () => {
  const mallory = newCaller();
  await using gateway = await openGateway({
    agents: [],
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
    atOnce: true,
  });
  for (const [name, listener] of listeners) subscribe(name, listener);
  const ask = (method: string, path: string, body?: unknown) => operate(gateway, method, path, { body });
  const upstreams = ['http://127.0.0.1:9'];
  await ask('POST', '/v1/agents', { id: 'one', upstreams });
  await ask('PATCH', '/v1/agents/one', { retries: 2 });
  await ask('DELETE', '/v1/agents/one');
  await ask('PUT', '/v1/policy', { text: policyOf('rules: []') });
  await ask('DELETE', '/v1/policy');
  const { id } = (await ask('POST', '/v1/revocations', { did: mallory.did, reason: 'why' })).body;
  await ask('DELETE', `/v1/revocations/${id}`);
  await ask('POST', '/v1/blocks', { address: '198.51.100.7', for_seconds: 60, reason: 'scans' });
  await ask('DELETE', '/v1/blocks/198.51.100.7');
  // Refused, and so no event.
  await ask('POST', '/v1/revocations', { did: 'nobody' });
  const by = 'key:bootstrap';
  const revocation = { id, did: mallory.did, keyId: null, reason: 'why', by };
  expect(heard).toEqual([
    ['sage:agents', { id: 'one', change: 'added', by }],
    ['sage:agents', { id: 'one', change: 'changed', by }],
    ['sage:agents', { id: 'one', change: 'removed', by: '' }],
    ['sage:policy', { sequence: 1, revision: expect.any(String), source: 'store', by }],
    ['sage:policy', { sequence: 2, revision: expect.any(String), source: 'allow_lists', by }],
    ['sage:revocation', revocation],
    ['sage:revocation.lifted', revocation],
    ['sage:block', { address: '198.51.100.7', untilMs: expect.any(Number), reason: 'scans', setBy: by }],
    ['sage:unblock', { address: '198.51.100.7' }],
  ]);
  const logged = gateway.lines.filter(({ msg }) => msg === 'changed by an operator');
  expect(logged.map(({ by: who, method, path }) => [who, method, path])).toEqual([
    [by, 'POST', '/v1/agents'],
    [by, 'PATCH', '/v1/agents/one'],
    [by, 'DELETE', '/v1/agents/one'],
    [by, 'PUT', '/v1/policy'],
    [by, 'DELETE', '/v1/policy'],
    [by, 'POST', '/v1/revocations'],
    [by, 'DELETE', `/v1/revocations/${id}`],
    [by, 'POST', '/v1/blocks'],
    [by, 'DELETE', '/v1/blocks/198.51.100.7'],
  ]);
});
