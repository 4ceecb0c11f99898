import { describe, expect, test } from 'vitest';
import { decide, explain } from '../../src/policy/decide.ts';
import type { RuleValue } from '../../src/policy/language.ts';
import { policyOf, policyOfRules, request } from './support.ts';

const NOW = Date.parse('2026-11-20T10:00:00Z');
const until = { until: '2026-11-20T12:00:00Z' };
const any: RuleValue = { id: 'any', effect: 'allow' };
const ruleWith = (id: string, effect: 'allow' | 'deny', rest: Partial<RuleValue> = {}): RuleValue => ({
  id,
  effect,
  ...rest,
});
const acme = { match: { did: 'did:web:acme.com' } };
const weather = { match: { path: '/agents/weather/**' } };

/** Which rule decides, for a request that every rule of the row matches. */
const table: [what: string, rules: RuleValue[], rule: string, effect: 'allow' | 'deny'][] = [
  ['nothing but the default', [], 'default', 'deny'],
  ['allow before the default', [any], 'any', 'allow'],
  ['deny before allow', [any, ruleWith('no', 'deny', weather)], 'no', 'deny'],
  [
    'deny before an allow of any priority',
    [ruleWith('yes', 'allow', { priority: 1_000_000 }), ruleWith('no', 'deny', { priority: -1_000_000 })],
    'no',
    'deny',
  ],
  [
    'deny before a more specific allow',
    [
      ruleWith('yes', 'allow', { match: { ...acme.match, ...weather.match, method: 'GET' } }),
      ruleWith('no', 'deny'),
    ],
    'no',
    'deny',
  ],
  [
    'emergency before deny of any priority',
    [
      ruleWith('no', 'deny', { priority: 10, ...acme }),
      ruleWith('stop', 'deny', { emergency: until, priority: -10 }),
    ],
    'stop',
    'deny',
  ],
  [
    'higher priority first',
    [ruleWith('low', 'allow', { priority: 1, ...acme }), ruleWith('high', 'allow', { priority: 2 })],
    'high',
    'allow',
  ],
  [
    'more dimensions first',
    [ruleWith('one', 'allow', acme), ruleWith('two', 'allow', { match: { ...acme.match, method: 'GET' } })],
    'two',
    'allow',
  ],
  [
    'the longer path first',
    [ruleWith('short', 'allow', { match: { path: '/agents/**' } }), ruleWith('long', 'allow', weather)],
    'long',
    'allow',
  ],
  [
    'the exact DID first',
    [ruleWith('prefix', 'allow', { match: { did: 'did:web:*' } }), ruleWith('exact', 'allow', acme)],
    'exact',
    'allow',
  ],
  [
    'the order of the file last',
    [
      ruleWith('first', 'allow', acme),
      ruleWith('second', 'allow', { match: { did: ['did:web:acme.com', 'did:x:b'] } }),
    ],
    'first',
    'allow',
  ],
];

test.each(table)('%s', (_what, rules, rule, effect) => {
  for (const order of [rules, rule === 'first' ? rules : rules.toReversed()]) {
    expect(decide(policyOfRules(...order), request(), NOW)).toMatchObject({ ruleId: rule, effect });
  }
});

test('the default effect is deny unless the file says otherwise', () => {
  expect(decide(policyOf({}), request(), NOW)).toEqual({
    effect: 'deny',
    ruleId: 'default',
    reason: 'no rule allows this request',
    shadow: [],
  });
  expect(decide(policyOf({ defaults: { effect: 'allow' } }), request(), NOW)).toMatchObject({
    effect: 'allow',
    ruleId: 'default',
  });
});

test('an emergency rule ends at the millisecond it says, forwards and backwards in time', () => {
  const policy = policyOfRules(any, ruleWith('stop', 'deny', { emergency: until }));
  const end = Date.parse(until.until);
  for (const [nowMs, rule] of [
    [end - 1, 'stop'],
    [end, 'any'],
    [end - 1, 'stop'],
    [end + 1, 'any'],
    [end - 60_000, 'stop'],
  ] as const) {
    expect(decide(policy, request(), nowMs).ruleId, String(nowMs - end)).toBe(rule);
  }
});

test('a rule without a DID matches who proved none, `*` only who proved one', () => {
  const policy = policyOfRules(ruleWith('somebody', 'allow', { match: { did: '*' } }));
  expect(decide(policy, request({ did: '' }), NOW).effect).toBe('deny');
  expect(decide(policy, request({ did: 'did:key:z6Mk' }), NOW).effect).toBe('allow');
  expect(decide(policyOfRules(any), request({ did: '' }), NOW).effect).toBe('allow');
});

describe('a path that is not normalised is denied, even where everything is allowed', () => {
  const deep = `/${'a/'.repeat(257)}`;
  test.each(['/agents/weather/../admin', '/agents/./weather', '/..', deep])('%.40s', (path) => {
    for (const policy of [
      policyOfRules(any),
      policyOfRules(ruleWith('all', 'allow', { match: { path: '/**' } })),
      policyOf({ defaults: { effect: 'allow' } }),
    ]) {
      expect(decide(policy, request({ path }), NOW)).toMatchObject({ effect: 'deny', ruleId: 'default' });
      expect(explain(policy, request({ path }), NOW).matched).toEqual([]);
    }
  });
  test.each(['/agents/..weather', '/agents/...', '/agents/.well-known/x', `/${'a/'.repeat(256)}`])(
    'but %.40s is normal',
    (path) => {
      expect(decide(policyOfRules(any), request({ path }), NOW).effect).toBe('allow');
    },
  );
});

test('a doubled or trailing slash does not walk around a deny', () => {
  const policy = policyOfRules(any, ruleWith('no', 'deny', { match: { path: '/agents/a/admin' } }));
  for (const path of ['/agents/a/admin', '/agents/a/admin/', '/agents//a/admin', '//agents/a//admin//']) {
    expect(decide(policy, request({ path }), NOW).ruleId, path).toBe('no');
  }
});

test('decisions are frozen, since one object answers many requests', () => {
  const decision = decide(policyOfRules(any), request(), NOW);
  expect(Object.isFrozen(decision)).toBe(true);
  expect(Object.isFrozen(decision.shadow)).toBe(true);
});
