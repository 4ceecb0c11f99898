import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { checkPolicyText } from '../../src/policy/check.ts';
import { formatFaults } from '../../src/policy/located-yaml.ts';
import { HEAD } from './support.ts';

function faultsOf(text: string, regions = true): string[] {
  const checked = checkPolicyText(text, regions);
  return checked.ok ? [] : formatFaults('p.yaml', checked.faults).split('\n');
}

/** The text after the two head lines, so its first line is line 3. */
const table: [what: string, yaml: string, faults: string[]][] = [
  [
    'an unknown key',
    'rules:\n  - { id: a, efect: allow, effect: allow }',
    ['p.yaml:4:14: rules[0].efect: unknown key `efect`, did you mean `effect`?'],
  ],
  ['a missing key', 'rules:\n  - id: a', ['p.yaml:4:5: rules[0]: `effect` is missing']],
  [
    'a wrong word',
    'rules:\n  - { id: a, effect: alow }',
    ['p.yaml:4:22: rules[0].effect: must be `allow` or `deny`, not `alow`'],
  ],
  [
    'an empty value',
    'rules:\n  - { id: a, effect: deny, match: { did: } }',
    ['p.yaml:4:42: rules[0].match.did: must be a string or a list, not empty'],
  ],
  [
    'an entry of a list',
    'rules:\n  - { id: a, effect: deny, match: { method: [GET, post] } }',
    ['p.yaml:4:51: rules[0].match.method[1]: `post` is not a method in upper case, did you mean `POST`?'],
  ],
  [
    'a later key',
    'rules:\n  - { id: a, effect: deny, expr: "true" }',
    ['p.yaml:4:28: rules[0].expr: `expr` is not supported yet'],
  ],
  ['later keys of the file', 'threats: []', ['p.yaml:3:1: threats: `threats` is not supported yet']],
  [
    'a general limit',
    'limits:\n  - { id: t, key: did, rate: 1/m, cost: tokens }',
    ['p.yaml:4:35: limits[0].cost: `cost` is not supported yet'],
  ],
  [
    'a bad rate',
    'limits:\n  - { id: t, key: did, rate: 100/y }',
    [
      'p.yaml:4:30: limits[0].rate: `100/y` is not a rate such as `100/m` (a number from 1, then /s, /m, /h or /d)',
    ],
  ],
  [
    'two limits of one key',
    'max_requests_per_minute: 3\nlimits:\n  - { id: t, key: did, rate: 1/m }',
    ['p.yaml:5:5: limits[0]: there can be one limit with key `did`; `max_requests_per_minute` is one'],
  ],
  [
    'an unknown set',
    'sets: { partners: ["did:x:a"] }\nrules:\n  - { id: a, effect: deny, match: { did: $partner } }',
    ['p.yaml:5:42: rules[0].match.did: there is no set `partner`, did you mean `partners`?'],
  ],
  [
    'a set in a circle',
    'sets:\n  a: [$b]\n  b: [$a]',
    ['p.yaml:5:7: sets.b[0]: the set `a` contains itself'],
  ],
  [
    'a bad value in a set',
    'sets:\n  a: [GET, "did:x:a"]\nrules:\n  - { id: r, effect: deny, match: { did: $a } }',
    [
      'p.yaml:6:42: rules[0].match.did: the set `a`: `GET` is neither a DID nor the beginning of one followed by `*`',
    ],
  ],
  [
    'a country',
    'allowed_regions: [US, UK]',
    [
      'p.yaml:3:23: allowed_regions[1]: `UK` is neither a country code of ISO 3166-1 nor a `$set`, did you mean `GB`?',
    ],
  ],
  [
    'a DID prefix that is too wide',
    'rules: [{ id: a, effect: allow, match: { did: "did:web:acme.com*" } }]',
    [
      'p.yaml:3:47: rules[0].match.did: `did:web:acme.com*` would also match `did:web:acme.com.evil.example`; write `did:web:acme.com` and `did:web:acme.com:*`',
    ],
  ],
  [
    'a part of a segment',
    'rules: [{ id: a, effect: allow, match: { path: /agents/we* } }]',
    [
      'p.yaml:3:48: rules[0].match.path: `/agents/we*`: `*` stands for one whole segment and `**` for any number of them, never for a part of one',
    ],
  ],
  [
    'hours of nothing',
    'rules: [{ id: a, effect: allow, time: { hours: "08:00-08:00" } }]',
    [
      'p.yaml:3:48: rules[0].time.hours: `08:00-08:00` begins and ends at the same minute; write `00:00-24:00` for the whole day',
    ],
  ],
  [
    'an unquoted time',
    'rules: [{ id: a, effect: allow, time: { hours: 8 } }]',
    ['p.yaml:3:48: rules[0].time.hours: must be a string or a list, not `8`'],
  ],
  [
    'a day',
    'rules: [{ id: a, effect: allow, time: { days: mon-fry } }]',
    [
      'p.yaml:3:47: rules[0].time.days: `mon-fry` is neither a day (mon, tue, wed, thu, fri, sat, sun) nor a range of days such as `mon-fri`',
    ],
  ],
  [
    'a time zone',
    'defaults: { timezone: Asia/Soul }',
    ['p.yaml:3:23: defaults.timezone: `Asia/Soul` is not a time zone such as `Asia/Seoul` or `UTC`'],
  ],
  [
    'failing open',
    'defaults: { on_error: allow }',
    ['p.yaml:3:23: defaults.on_error: must be `deny`, not `allow`'],
  ],
  [
    'a header in capitals',
    'rules: [{ id: a, effect: deny, match: { header: { X-Tenant: a } } }]',
    ['p.yaml:3:51: rules[0].match.header.X-Tenant: write header names in lower case: `x-tenant`'],
  ],
  [
    'an id twice',
    'rules:\n  - { id: a, effect: deny }\n  - { id: a, effect: deny, priority: 1 }',
    ['p.yaml:5:11: rules[1].id: the id `a` is already that of rules[0]'],
  ],
  [
    'a reserved id',
    'rules: [{ id: default, effect: deny }]',
    ['p.yaml:3:15: rules[0].id: the id `default` is reserved'],
  ],
  [
    'an emergency that allows',
    'rules: [{ id: a, effect: allow, emergency: { until: "2026-11-20T10:00Z" } }]',
    ['p.yaml:3:33: rules[0].emergency: an emergency rule can only deny'],
  ],
  [
    'an emergency without an end',
    'rules: [{ id: a, effect: deny, emergency: { until: tomorrow } }]',
    [
      'p.yaml:3:52: rules[0].emergency.until: `tomorrow` is not a date and time with an offset, such as `2026-11-20T10:00+09:00`',
    ],
  ],
  [
    'two rules for the same requests that disagree',
    'rules:\n  - { id: a, effect: allow, match: { method: [GET, PUT] } }\n  - { id: b, effect: deny, match: { method: [PUT, GET] } }',
    [
      'p.yaml:5:5: rules[1]: `b` and `a` match the same requests with the same priority: a deny wins, so the allow can never act (the other is at line 4, column 5)',
    ],
  ],
  [
    'two rules for the same requests that agree',
    'rules:\n  - { id: a, effect: deny }\n  - { id: b, effect: deny, reason: other }',
    [
      'p.yaml:5:5: rules[1]: `b` and `a` match the same requests with the same priority: one of them is superfluous (the other is at line 4, column 5)',
    ],
  ],
  ['a key twice', 'rules: []\nrules: []', ['p.yaml:4:1: this key is given twice']],
  [
    'an alias',
    'sets: { a: &a [x], b: *a }',
    ['p.yaml:3:23: aliases (`*a`) are not supported; repeat the value or name a set'],
  ],
  [
    'a type tag',
    'metadata: { name: !!binary aGk= }',
    ['p.yaml:3:19: type tags are not supported (Unresolved tag: tag:yaml.org,2002:binary)'],
  ],
  ['two documents', '---\na: 1', ['p.yaml:3:1: the file holds several documents (`---`); one is expected']],
  [
    'a failing test',
    'rules: [{ id: get, effect: allow, match: { method: GET } }]\ntests:\n  - { name: post, request: { method: POST, path: / }, expect: { allow: true } }\n  - { name: get, request: { method: GET, path: / }, expect: { allow: true, rule: default } }\n  - { name: typo, request: { method: GET, path: / }, expect: { allow: true, rule: gte } }',
    [
      'p.yaml:5:5: tests[0]: test `post`: expected allow, got deny by `default` (no rule allows this request)',
      'p.yaml:6:5: tests[1]: test `get`: expected rule `default`, got allow by `get` (allowed by rule get)',
      'p.yaml:7:5: tests[2]: test `typo`: expects the rule `gte`, which does not exist',
    ],
  ],
  [
    'a test without a time where time matters',
    'rules: [{ id: get, effect: allow, time: { days: mon } }]\ntests: [{ name: t, request: { method: GET, path: / }, expect: { allow: true } }]',
    ['p.yaml:4:9: tests[0]: test `t`: needs `now`, because rules here depend on the time'],
  ],
];

test.each(table)('%s', (_what, yaml, faults) => {
  expect(faultsOf(HEAD + yaml)).toEqual(faults);
});

test('all faults are told at once, in the order of the file', () => {
  const faults = faultsOf(
    'apiVersion: sage/v2\nkind: Policy\nrules:\n  - { id: "a b", effect: no }\n  - { effect: allow, match: { did: 3, pth: /x } }\n',
  );
  expect(faults).toEqual([
    'p.yaml:1:13: apiVersion: must be `sage/v1`, not `sage/v2`',
    'p.yaml:2:7: kind: must be `PolicySet`, not `Policy`',
    'p.yaml:4:11: rules[0].id: must be a name of at most 64 letters, digits, `.`, `_` and `-`, not `a b`',
    'p.yaml:4:26: rules[0].effect: must be `allow` or `deny`, not `no`',
    'p.yaml:5:5: rules[1]: `id` is missing',
    'p.yaml:5:36: rules[1].match.did: must be a string or a list, not `3`',
    'p.yaml:5:39: rules[1].match.pth: unknown key `pth`, did you mean `path`?',
  ]);
});

test('regions without a database are refused where they are asked for', () => {
  const message = 'regions are asked for, but no region database is configured';
  expect(faultsOf(`${HEAD}allowed_regions: [US]`, false)).toEqual([
    `p.yaml:3:1: allowed_regions: ${message}`,
  ]);
  expect(faultsOf(`${HEAD}rules:\n  - { id: a, effect: deny, match: { region: US } }`, false)).toEqual([
    `p.yaml:4:37: rules[0].match.region: ${message}`,
  ]);
});

describe('hostile files end in one fault, soon', () => {
  const bomb = `a: &a [x]\n${Array.from({ length: 30 }, (_, i) => `b${i}: &b${i} [*${i === 0 ? 'a' : `b${i - 1}`}, *${i === 0 ? 'a' : `b${i - 1}`}]`).join('\n')}`;
  const sets = `${HEAD}sets:\n  s0: [${Array.from({ length: 5_000 }, (_, i) => `v${i}`).join(', ')}]\n${Array.from({ length: 100 }, (_, i) => `  t${i}: [$s0]`).join('\n')}`;
  test.each([
    ['empty', '', /p.yaml:1:1: the file is empty/],
    ['not YAML', 'a: [', /not valid YAML/],
    ['control characters', '\u0000\u001b[2J', /not `\uFFFD\uFFFD\[2J`/],
    ['too large', `# ${'x'.repeat(1024 * 1024)}`, /the file has 1048578 bytes, the most is 1048576/],
    ['a tower of brackets', '['.repeat(100_000), /nested too deeply/],
    ['an alias bomb', bomb, /aliases/],
    ['sets of sets', sets, /sets expand to more than 200000 values/],
    ['a thousand faults', `${HEAD}rules:\n${'  - {}\n'.repeat(1_000)}`, /and 1901 more faults/],
    [
      'a flood of failed unions',
      `${HEAD}rules:\n${'  - { id: a, effect: no, match: { did: [1], method: {} } }\n'.repeat(3_000)}`,
      /and \d+ more faults/,
    ],
    ['__proto__', `${HEAD}__proto__: { rules: [] }`, /unknown key `__proto__`/],
  ])('%s', (_what, text, expected) => {
    const started = performance.now();
    const faults = faultsOf(text);
    expect(faults.join('\n')).toMatch(expected);
    expect(faults.length).toBeLessThanOrEqual(100);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

test('the example of the README is a policy that passes its own tests', async () => {
  const readme = await readFile(new URL('../../src/policy/README.md', import.meta.url), 'utf8');
  const example = /```yaml\n(apiVersion[\s\S]*?)```/.exec(readme)?.[1] ?? '';
  expect(example).toContain('tests:');
  expect(faultsOf(example)).toEqual([]);
});
