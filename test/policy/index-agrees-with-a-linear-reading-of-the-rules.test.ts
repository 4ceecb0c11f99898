/**
 * The index against the plainest evaluator there is: every rule tried on every request, written from the language
 * reference without anything of the index.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compilePolicy } from '../../src/policy/compile.ts';
import { decide, explain } from '../../src/policy/decide.ts';
import type { PolicyValue, RuleValue } from '../../src/policy/language.ts';
import { type RequestParts, request } from './support.ts';

const list = <T>(value: T | T[] | undefined): T[] | undefined =>
  value === undefined ? undefined : Array.isArray(value) ? value : [value];

function matchesDid(pattern: string, did: string): boolean {
  if (did === '') return false;
  return pattern.endsWith('*') ? did.startsWith(pattern.slice(0, -1)) : did === pattern;
}

function matchesPath(pattern: string, path: string): boolean {
  const match = (p: string[], s: string[]): boolean => {
    const [head, ...rest] = p;
    if (head === undefined) return s.length === 0;
    if (head === '**') return match(rest, s) || (s.length > 0 && match(p, s.slice(1)));
    return s.length > 0 && (head === '*' || head === s[0]) && match(rest, s.slice(1));
  };
  const split = (text: string) => text.split('/').filter((segment) => segment !== '');
  return match(split(pattern), split(path));
}

function matchesValue(pattern: string, value: string): boolean {
  const escaped = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.*')}$`, 's').test(value);
}

function matchesHeader(
  effect: string,
  patterns: string[],
  value: string | undefined,
  covered: boolean,
): boolean {
  if (value === undefined) return false;
  const members = value.includes(',') ? value.split(',').map((member) => member.trim()) : [value];
  return patterns.some((pattern) => {
    if (effect === 'deny')
      return matchesValue(pattern, value) || members.some((each) => matchesValue(pattern, each));
    if (!covered) return false;
    return pattern.includes(',')
      ? matchesValue(pattern, value)
      : members.every((each) => matchesValue(pattern, each));
  });
}

/** Times in these tests are in UTC, so that JavaScript's own calendar is the reference. */
function awake(rule: RuleValue, nowMs: number): boolean {
  if (rule.emergency !== undefined && nowMs >= Date.parse(rule.emergency.until)) return false;
  if (rule.time === undefined) return true;
  const names = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
  const on = (at: Date) =>
    rule.time?.days === undefined || list(rule.time.days)?.includes(names[at.getUTCDay()] ?? '');
  const now = new Date(nowMs);
  const minute = now.getUTCHours() * 60 + now.getUTCMinutes();
  return (list(rule.time.hours) ?? ['00:00-24:00']).some((hours) => {
    const [from = 0, to = 0] = hours.split('-').map((clock) => {
      const [h, m] = clock.split(':').map(Number);
      return (h ?? 0) * 60 + (m ?? 0);
    });
    if (from < to) return on(now) && minute >= from && minute < to;
    return (on(now) && minute >= from) || (on(new Date(nowMs - 86_400_000)) && minute < to);
  });
}

function matches(value: PolicyValue, rule: RuleValue, parts: RequestParts, nowMs: number): boolean {
  const match = rule.match ?? {};
  const headers = Object.entries(match.header ?? {});
  return (
    (list(match.did)?.some((pattern) => matchesDid(pattern, parts.did ?? '')) ?? true) &&
    (list(match.method)?.includes(parts.method ?? '') ?? true) &&
    (list(match.path)?.some((pattern) => matchesPath(pattern, parts.path ?? '')) ?? true) &&
    (match.region === undefined ||
      (parts.region == null
        ? rule.effect === 'deny' && value.unknown_region !== 'allow'
        : (list(match.region)?.includes(parts.region) ?? false))) &&
    headers.every(([name, patterns]) =>
      matchesHeader(
        rule.effect,
        list(patterns) ?? [],
        parts.headers?.[name],
        parts.covered?.includes(name) ?? false,
      ),
    ) &&
    awake(rule, nowMs)
  );
}

/** What decides, by the README: an enforced emergency, else an enforced deny, else an enforced allow, else the default. */
function naive(value: PolicyValue, parts: RequestParts, nowMs: number) {
  const fitting = (value.rules ?? []).filter((rule) => matches(value, rule, parts, nowMs));
  const shadows = (rule: RuleValue) =>
    rule.emergency === undefined && (rule.mode ?? value.defaults?.mode) === 'shadow';
  const enforced = fitting.filter((rule) => !shadows(rule));
  const fallback = value.defaults?.effect ?? 'deny';
  const effect = enforced.some((rule) => rule.effect === 'deny')
    ? 'deny'
    : enforced.length > 0
      ? 'allow'
      : fallback;
  const wouldTurn = fitting.filter((rule) => {
    if (!shadows(rule)) return false;
    const withIt = [...enforced, rule];
    return (withIt.some((each) => each.effect === 'deny') ? 'deny' : 'allow') !== effect;
  });
  const emergency = enforced.some((rule) => rule.emergency !== undefined);
  const deciding = enforced.filter(
    (rule) => rule.effect === effect && (!emergency || rule.emergency !== undefined),
  );
  const top = Math.max(...deciding.map((rule) => rule.priority ?? 0));
  return {
    effect,
    fitting: fitting.map((rule) => rule.id).sort(),
    shadow: wouldTurn.map((rule) => rule.id).sort(),
    /** Any of these may be named: specificity chooses among them. */
    deciders: deciding.filter((rule) => (rule.priority ?? 0) === top).map((rule) => rule.id),
  };
}

const segment = fc.constantFrom('a', 'b', 'c');
const patternSegment = fc.oneof(
  { weight: 4, arbitrary: segment },
  { weight: 2, arbitrary: fc.constantFrom('*', '**') },
);
const pathPattern = fc
  .array(patternSegment, { maxLength: 5 })
  .filter((segments) => segments.filter((each) => each === '**').length <= 2)
  .map((segments) => `/${segments.join('/')}`);
const path = fc
  .array(fc.oneof(segment, fc.constant('')), { maxLength: 6 })
  .map((segments) => `/${segments.join('/')}`);
const did = fc.constantFrom('', 'did:x:a', 'did:x:a:b', 'did:x:a:b:c', 'did:x:b', 'did:y:a', 'did:x:ab');
const didPattern = fc.constantFrom(
  'did:x:a',
  'did:x:a:b',
  'did:y:a',
  '*',
  'did:*',
  'did:x:*',
  'did:x:a*',
  'did:x:a:*',
  'did:x:a:b*',
);
const headerName = fc.constantFrom('x-one', 'x-two');
const headerValue = fc.constantFrom('', 'a', 'ab', 'abc', 'b', 'a, b', 'ab,abc', 'a,,b', 'aXbXc');
const headerGlob = fc.constantFrom('a', 'ab', '*', 'a*', '*b', 'a*c', 'a, b', 'a*b*c', '*b*');
const region = fc.constantFrom('DE', 'FR', 'US');
const clock = fc
  .integer({ min: 0, max: 47 })
  .map((half) => `${String(half >> 1).padStart(2, '0')}:${half % 2 ? '30' : '00'}`);
const hours = fc
  .tuple(clock, clock)
  .filter(([from, to]) => from !== to)
  .map(([from, to]) => `${from}-${to}`);
const day = fc.constantFrom('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun');
const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 3 });
const instants = {
  min: new Date('2026-11-15T00:00:00Z'),
  max: new Date('2026-11-25T00:00:00Z'),
  noInvalidDate: true,
};

const rule = fc.record(
  {
    effect: fc.constantFrom('allow' as const, 'deny' as const),
    mode: fc.constantFrom('enforce' as const, 'shadow' as const),
    priority: fc.integer({ min: -1, max: 2 }),
    match: fc.record(
      {
        did: some(didPattern),
        method: some(fc.constantFrom('GET', 'POST')),
        path: some(pathPattern),
        region: some(region),
        header: fc.dictionary(headerName, some(headerGlob), {
          minKeys: 1,
          maxKeys: 2,
          noNullPrototype: true,
        }),
      },
      { requiredKeys: [] },
    ),
    time: fc.record({ days: some(day), hours: some(hours) }, { requiredKeys: ['hours'] }),
    emergency: fc.record({ until: fc.date(instants).map((date) => date.toISOString()) }),
  },
  { requiredKeys: ['effect'] },
);
const policy = fc.record(
  {
    defaults: fc.record(
      {
        effect: fc.constantFrom('allow' as const, 'deny' as const),
        mode: fc.constantFrom('enforce' as const, 'shadow' as const),
      },
      { requiredKeys: [] },
    ),
    unknown_region: fc.constantFrom('allow' as const, 'deny' as const),
    rules: fc.array(rule, { maxLength: 80 }),
  },
  { requiredKeys: ['rules'] },
);
const requests = fc.array(
  fc.record({
    did,
    method: fc.constantFrom('GET', 'POST', 'PUT'),
    path,
    region: fc.option(fc.constantFrom('DE', 'US', 'KR')),
    headers: fc.dictionary(headerName, headerValue, { maxKeys: 2, noNullPrototype: true }),
    covered: fc.subarray(['x-one', 'x-two']),
    now: fc.date(instants).map((date) => date.getTime()),
  }),
  { minLength: 1, maxLength: 20 },
);

test('the decision, its rule, the shadow rules and all matching rules are those of a linear reading', () => {
  let compiled = 0;
  fc.assert(
    fc.property(policy, requests, (body, calls) => {
      const value: PolicyValue = {
        ...body,
        apiVersion: 'sage/v1',
        kind: 'PolicySet',
        rules: body.rules.map(({ emergency, ...each }, index) => ({
          ...each,
          id: `r${index}`,
          ...(emergency !== undefined && each.effect === 'deny' && each.mode !== 'shadow'
            ? { emergency }
            : {}),
        })),
      };
      const result = compilePolicy(value, { regions: true });
      // A random file may hold two rules that match the same requests; the lint refuses it, which is tested elsewhere.
      if (!result.ok) return;
      compiled++;
      for (const { now, ...parts } of calls) {
        const expected = naive(value, parts, now);
        const asked = request(parts);
        const decision = decide(result.policy, asked, now);
        expect(decision.effect).toBe(expected.effect);
        expect(decision.ruleId === 'default' ? [] : [decision.ruleId]).toEqual(
          expected.deciders.length === 0
            ? []
            : [expect.toSatisfy((id: string) => expected.deciders.includes(id))],
        );
        expect([...decision.shadow].sort()).toEqual(
          expected.shadow.slice(0, 16).length === 16 ? expect.any(Array) : expected.shadow,
        );
        const { matched } = explain(result.policy, asked, now);
        expect(matched.map((each) => each.ruleId).sort()).toEqual(expected.fitting);
      }
    }),
    { numRuns: 400 },
  );
  expect(compiled).toBeGreaterThan(100);
});
