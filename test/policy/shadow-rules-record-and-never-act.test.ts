import { expect, test } from 'vitest';
import { decide, explain } from '../../src/policy/decide.ts';
import { policyFromYaml, request } from './support.ts';

const policy = policyFromYaml(`
rules:
  - { id: open, effect: allow, match: { path: /agents/** } }
  - { id: would-deny, effect: deny, mode: shadow, match: { method: DELETE } }
  - { id: would-deny-too, effect: deny, mode: shadow, match: { method: [DELETE, PUT] } }
  - { id: would-allow, effect: allow, mode: shadow, match: { path: /private/** } }
  - { id: closed, effect: deny, match: { path: /agents/closed/** } }
`);

test('a shadow deny is named where it would have turned an allow round', () => {
  const decision = decide(policy, request({ method: 'DELETE' }), 0);
  expect(decision).toMatchObject({ effect: 'allow', ruleId: 'open' });
  expect([...decision.shadow].sort()).toEqual(['would-deny', 'would-deny-too']);
  expect(decide(policy, request({ method: 'GET' }), 0).shadow).toEqual([]);
});

test('a shadow allow is named where it would have turned the default round', () => {
  expect(decide(policy, request({ path: '/private/x' }), 0)).toMatchObject({
    effect: 'deny',
    ruleId: 'default',
    shadow: ['would-allow'],
  });
});

test('a shadow rule that would have changed nothing is not named, but explained', () => {
  const closed = request({ path: '/agents/closed/x', method: 'PUT' });
  expect(decide(policy, closed, 0)).toMatchObject({ effect: 'deny', ruleId: 'closed', shadow: [] });
  expect(explain(policy, closed, 0).matched.map(({ ruleId, shadow }) => [ruleId, shadow])).toEqual(
    expect.arrayContaining([
      ['closed', false],
      ['would-deny-too', true],
      ['open', false],
    ]),
  );
});

test('`defaults.mode: shadow` silences every rule that does not say `enforce`, never an emergency', () => {
  const quiet = policyFromYaml(`
defaults: { mode: shadow, effect: allow }
rules:
  - { id: no-put, effect: deny, match: { method: PUT } }
  - { id: no-delete, effect: deny, mode: enforce, match: { method: DELETE } }
  - { id: stop, effect: deny, emergency: { until: "2100-01-01T00:00Z" }, match: { method: PATCH } }
`);
  expect(decide(quiet, request({ method: 'PUT' }), 0)).toMatchObject({ effect: 'allow', shadow: ['no-put'] });
  expect(decide(quiet, request({ method: 'DELETE' }), 0)).toMatchObject({
    effect: 'deny',
    ruleId: 'no-delete',
  });
  expect(decide(quiet, request({ method: 'PATCH' }), 0)).toMatchObject({ effect: 'deny', ruleId: 'stop' });
});
