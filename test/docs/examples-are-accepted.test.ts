import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { checkPolicyText } from '../../src/policy/check.ts';
import { formatFaults } from '../../src/policy/located-yaml.ts';
import { allPages, codeBlocks } from './markdown.ts';

const examples = allPages().flatMap((from) =>
  codeBlocks(from)
    .filter(({ language }) => language === 'yaml')
    .map(({ text, line }) => ({ place: `${from.path}:${line}`, text })),
);
const policies = examples.filter(({ text }) => /^kind: PolicySet$/m.test(text));
const configurations = examples.filter(({ text }) => !/^kind:/m.test(text));

test('every YAML example is a sage.yaml or a PolicySet', () => {
  expect(policies.length).toBeGreaterThan(0);
  expect(configurations.length).toBeGreaterThan(1);
  expect(policies.length + configurations.length).toBe(examples.length);
});

describe('a sage.yaml that is shown can be used', () => {
  test.each(configurations)('$place', ({ place, text }) => {
    expect(parseConfig(text, place).agents.length).toBeGreaterThan(0);
  });
});

describe('a policy that is shown can be used, its own tests included', () => {
  test.each(policies)('$place', ({ place, text }) => {
    const checked = checkPolicyText(text, true);
    expect(checked.ok ? '' : formatFaults(place, checked.faults)).toBe('');
  });
});

describe('what is commented out in a sage.yaml can be taken in', () => {
  const optional = configurations.filter(({ text }) => /^# \w+:/m.test(text));
  test.each(optional)('$place', ({ place, text }) => {
    const whole = text.replace(/^# ?/gm, '');
    expect(parseConfig(whole, place).policyFile).not.toBeNull();
  });
});
