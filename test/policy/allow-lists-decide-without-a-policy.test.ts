import { expect, test } from 'vitest';
import { policyFromAllowLists } from '../../src/policy/allow-lists.ts';
import { decide } from '../../src/policy/decide.ts';
import { request } from './support.ts';

const policy = policyFromAllowLists([
  { agentId: 'weather', allow: ['did:web:acme.com', 'did:key:*'], open: false },
  { agentId: 'public', allow: [], open: true },
  { agentId: 'closed', allow: [], open: false },
]);

test.each([
  ['did:web:acme.com', '/agents/weather/today', 'allow', 'agent:weather'],
  ['did:key:z6Mk', '/agents/weather', 'allow', 'agent:weather'],
  ['did:web:acme.com:bot', '/agents/weather/today', 'deny', 'default'],
  ['', '/agents/weather/today', 'deny', 'default'],
  ['', '/agents/public/x/y', 'allow', 'agent:public'],
  ['did:key:z6Mk', '/agents/public', 'allow', 'agent:public'],
  ['did:key:z6Mk', '/agents/closed/x', 'deny', 'default'],
  ['did:key:z6Mk', '/agents/publicity', 'deny', 'default'],
  ['did:key:z6Mk', '/agents', 'deny', 'default'],
  ['did:key:z6Mk', '/agents/public/../closed', 'deny', 'default'],
])('%s at %s: %s by %s', (did, path, effect, ruleId) => {
  expect(decide(policy, request({ did, path }), 0)).toMatchObject({ effect, ruleId });
});

test('the lists have a revision, which changes with them', () => {
  const other = policyFromAllowLists([{ agentId: 'weather', allow: ['did:key:*'], open: false }]);
  expect(policy.revision).toMatch(/^[0-9a-f]{16}$/);
  expect(other.revision).not.toBe(policy.revision);
  expect(policy.rules).toBe(2);
});

test.each([
  ['weather', 'did:web:acme.com*', /agent weather: .*evil/],
  ['weather', 'acme', /neither a DID/],
  ['a/b', 'did:key:*', /cannot be a path segment/],
  ['*', 'did:key:*', /cannot be a path segment/],
])('a list that cannot be meant is refused: %s, %s', (agentId, did, message) => {
  expect(() => policyFromAllowLists([{ agentId, allow: [did], open: false }])).toThrow(message);
});
