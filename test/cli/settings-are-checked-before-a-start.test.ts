import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { folderOf, sage, sageJson } from './support.ts';

const folder = folderOf('config');
const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
const AGENT = '{ id: echo, upstreams: ["http://127.0.0.1:1"] }';

test('every fault of environment, file and policy at once, with exit code 3', async () => {
  write('bad.yaml', `apiVersion: sage/v1\nagents:\n  - { id: Echo, upstreams: [] }\n`);
  const { code, data } = await sageJson(['config', 'check', '--config', 'bad.yaml'], {
    folder,
    env: { PORT: 'x', OPERATOR_API_KEY: 'short' },
  });
  expect(code).toBe(3);
  expect(data).toMatchObject({ valid: false });
  for (const says of [
    /^PORT/,
    /^OPERATOR_API_KEY/,
    /bad\.yaml:3:\d+: agents\[0\]\.id/,
    /bad\.yaml:3:\d+: agents\[0\]\.upstreams/,
  ])
    expect(data.faults).toContainEqual(expect.stringMatching(says));
});

test('a policy is checked with its own tests', async () => {
  write(
    'policy.yaml',
    'apiVersion: sage/v1\nkind: PolicySet\nrules: [{ id: a, effect: allow, match: { did: "did:web:x" } }]\ntests: [{ name: t, request: { method: GET, path: / }, expect: { allow: true } }]\n',
  );
  write('sage.yaml', `apiVersion: sage/v1\nagents: [${AGENT}]\npolicy: ./policy.yaml\n`);
  const { code, out } = await sage(['config', 'check'], { folder });
  expect(code).toBe(3);
  expect(out).toMatch(/^\[-\] .*policy\.yaml:4:\d+: .*"?t"?/m);
});

test('what would let nobody in is pointed out', async () => {
  write('nobody.yaml', `apiVersion: sage/v1\nagents: [${AGENT}]\n`);
  const { code, data } = await sageJson(['config', 'check', '--config', 'nobody.yaml'], { folder });
  expect(code).toBe(0);
  expect(data).toMatchObject({
    valid: true,
    faults: [],
    notes: [expect.stringMatching(/echo.*nobody may call/)],
  });
});

test('variables come from a file, but never over those that are set', async () => {
  write('.env', 'PORT=x\nDRAIN_TIMEOUT_MS=x\n');
  const both = await sageJson(['config', 'check', '--env', '.env', '--config', 'nobody.yaml'], {
    folder,
  });
  expect(both.data.faults).toHaveLength(2);
  const one = await sageJson(['config', 'check', '--env', '.env', '--config', 'nobody.yaml'], {
    folder,
    env: { PORT: '8080' },
  });
  expect(one.data.faults).toEqual([expect.stringMatching(/^DRAIN_TIMEOUT_MS/)]);
  const none = await sageJson(['config', 'check', '--env', 'none'], { folder });
  expect(none).toMatchObject({ code: 3, error: { code: 'configuration_invalid' } });
});

test('init writes what passes, and replaces nothing', async () => {
  expect((await sage(['init', 'new'], { folder })).code).toBe(0);
  const checked = await sageJson(['config', 'check', '--env', '.env'], { folder: join(folder, 'new') });
  expect(checked).toMatchObject({ code: 0, data: { valid: true, notes: [] } });
  const again = await sageJson(['init', 'new'], { folder });
  expect(again).toMatchObject({
    code: 1,
    error: { code: 'file_exists', message: expect.stringContaining('policy.yaml') },
  });
});
