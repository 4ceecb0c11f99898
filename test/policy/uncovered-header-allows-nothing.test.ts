import { expect, test } from 'vitest';
import { decide } from '../../src/policy/decide.ts';
import { policyFromYaml, request } from './support.ts';

const allow = policyFromYaml(
  'rules: [{ id: tenant, effect: allow, match: { header: { x-tenant: acme-* } } }]',
);
const deny = policyFromYaml(`
defaults: { effect: allow }
rules: [{ id: tenant, effect: deny, match: { header: { x-tenant: acme-* } } }]`);

test.each([
  // value, covered, allowed by the allow rule, denied by the deny rule
  ['acme-1', true, true, true],
  ['acme-1', false, false, true],
  ['other', true, false, false],
  ['', true, false, false],
  // A second field line, added on the way: it gains nothing and hides nothing.
  ['acme-1, other', true, false, true],
  ['other, acme-1', true, false, true],
  ['acme-1,acme-2', true, true, true],
  [`acme-1${', acme-1'.repeat(32)}`, true, false, true],
  [`other${', other'.repeat(32)}`, true, false, true],
] as const)('%.30s, covered %s: allows %s, denies %s', (value, covered, allowed, denied) => {
  const call = request({ headers: { 'x-tenant': value }, covered: covered ? ['x-tenant'] : [] });
  expect(decide(allow, call, 0).effect).toBe(allowed ? 'allow' : 'deny');
  expect(decide(deny, call, 0).effect).toBe(denied ? 'deny' : 'allow');
});

test('an absent header matches nothing, not even `*`', () => {
  const present = policyFromYaml('rules: [{ id: any, effect: allow, match: { header: { x-tenant: "*" } } }]');
  expect(decide(present, request(), 0).effect).toBe('deny');
  expect(decide(present, request({ headers: { 'x-tenant': '' } }), 0).effect).toBe('allow');
});

test('a pattern with a comma speaks about the whole value', () => {
  const dated = policyFromYaml('rules: [{ id: any, effect: allow, match: { header: { date: "Fri, *" } } }]');
  expect(decide(dated, request({ headers: { date: 'Fri, 20 Nov 2026 10:00:00 GMT' } }), 0).effect).toBe(
    'allow',
  );
});

test('a header is not read, and a region not looked up, when no rule asks for it', () => {
  const policy = policyFromYaml('rules: [{ id: get, effect: allow, match: { method: GET } }]');
  const refuse = () => {
    throw new Error('must not be asked');
  };
  expect(decide(policy, { ...request(), header: refuse, covers: refuse, region: refuse }, 0).effect).toBe(
    'allow',
  );
});
