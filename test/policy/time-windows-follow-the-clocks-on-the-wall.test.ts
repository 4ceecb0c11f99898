import { expect, test } from 'vitest';
import { decide } from '../../src/policy/decide.ts';
import { policyFromYaml, request } from './support.ts';

/** `time` of the rule, an instant, and whether the rule is awake then. */
const table: [time: string, now: string, awake: boolean][] = [
  ['{ hours: "08:00-18:30", timezone: Asia/Seoul }', '2026-11-20T08:00+09:00', true],
  ['{ hours: "08:00-18:30", timezone: Asia/Seoul }', '2026-11-20T07:59:59.999+09:00', false],
  ['{ hours: "08:00-18:30", timezone: Asia/Seoul }', '2026-11-20T18:29:59.999+09:00', true],
  ['{ hours: "08:00-18:30", timezone: Asia/Seoul }', '2026-11-20T18:30+09:00', false],
  ['{ hours: ["00:00-01:00", "23:00-24:00"] }', '2026-11-20T23:59Z', true],
  ['{ hours: ["00:00-01:00", "23:00-24:00"] }', '2026-11-20T01:00Z', false],
  ['{ days: mon-fri }', '2026-11-20T23:59:59Z', true],
  ['{ days: mon-fri }', '2026-11-21T00:00Z', false],
  ['{ days: fri-mon }', '2026-11-22T12:00Z', true],
  ['{ days: "tue,thu" }', '2026-11-19T12:00Z', true],
  ['{ days: [mon, wed-thu] }', '2026-11-17T12:00Z', false],
  // The day is that of the time zone: Friday evening in UTC is Saturday in Seoul.
  ['{ days: sat, timezone: Asia/Seoul }', '2026-11-20T15:00Z', true],
  // Crossing midnight, hours belong to the day they begin on.
  ['{ days: fri, hours: "22:00-06:00" }', '2026-11-20T22:00Z', true],
  ['{ days: fri, hours: "22:00-06:00" }', '2026-11-21T05:59Z', true],
  ['{ days: fri, hours: "22:00-06:00" }', '2026-11-21T06:00Z', false],
  ['{ days: fri, hours: "22:00-06:00" }', '2026-11-20T05:00Z', false],
  // … and over the end of the week.
  ['{ days: sun, hours: "22:00-06:00" }', '2026-11-23T05:59Z', true],
  ['{ days: sun, hours: "22:00-06:00" }', '2026-11-22T05:59Z', false],
  // Clocks go back in New York on 1 November 2026 at 06:00Z: 01:30 comes twice.
  ['{ hours: "01:00-02:00", timezone: America/New_York }', '2026-11-01T05:30Z', true],
  ['{ hours: "01:00-02:00", timezone: America/New_York }', '2026-11-01T06:30Z', true],
  ['{ hours: "01:00-02:00", timezone: America/New_York }', '2026-11-01T07:00Z', false],
  // They go forward on 8 March 2026 at 07:00Z: 02:30 never comes, 03:00 follows 01:59.
  ['{ hours: "02:00-03:00", timezone: America/New_York }', '2026-03-08T06:59Z', false],
  ['{ hours: "02:00-03:00", timezone: America/New_York }', '2026-03-08T07:00Z', false],
  ['{ hours: "03:00-04:00", timezone: America/New_York }', '2026-03-08T07:00Z', true],
  // Offsets that are not whole hours.
  ['{ hours: "05:45-05:46", timezone: Asia/Kathmandu }', '2026-11-20T00:00Z', true],
];

test.each(table)('%s at %s: %s', (time, now, awake) => {
  const policy = policyFromYaml(`rules: [{ id: timed, effect: allow, time: ${time} }]`);
  expect(decide(policy, request(), Date.parse(now)).effect).toBe(awake ? 'allow' : 'deny');
});

test('the answer of one minute is not given in the next, nor after a step back', () => {
  const policy = policyFromYaml('rules: [{ id: timed, effect: allow, time: { hours: "10:00-10:01" } }]');
  const ten = Date.parse('2026-11-20T10:00Z');
  for (const [nowMs, effect] of [
    [ten - 1, 'deny'],
    [ten, 'allow'],
    [ten + 59_999, 'allow'],
    [ten + 60_000, 'deny'],
    [ten + 1, 'allow'],
    [ten - 60_001, 'deny'],
  ] as const) {
    expect(decide(policy, request(), nowMs).effect).toBe(effect);
  }
});

test('the time zone of the file is `defaults.timezone`, else UTC', () => {
  const rules = 'rules: [{ id: timed, effect: allow, time: { hours: "09:00-10:00" } }]';
  const now = Date.parse('2026-11-20T00:30Z');
  expect(decide(policyFromYaml(`defaults: { timezone: Asia/Seoul }\n${rules}`), request(), now).effect).toBe(
    'allow',
  );
  expect(decide(policyFromYaml(rules), request(), now).effect).toBe('deny');
});
