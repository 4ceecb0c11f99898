import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { decide } from '../../src/policy/decide.ts';
import type { PolicyRefused, PolicyReloaded } from '../../src/policy/events.ts';
import { openPolicyFile, type PolicyFile } from '../../src/policy/policy-file.ts';
import { HEAD, request } from './support.ts';

const rulesFor = (id: string) => `${HEAD}rules:\n  - { id: ${id}, effect: allow }\n`;
const BAD = `${HEAD}rules:\n  - { id: bad, efect: allow }\n`;

let directory: string;
let path: string;
let opened: PolicyFile[];
/** `changed` with the policy's first rule, `refused` with the faults, `logged` with message and fields. */
let events: EventEmitter;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sage-policy-'));
  path = join(directory, 'policy.yaml');
  opened = [];
  events = new EventEmitter();
});
afterEach(async () => {
  await Promise.all(opened.map((file) => file.close()));
  await rm(directory, { recursive: true });
});

async function openFile(): Promise<PolicyFile> {
  const log = (fields: object, message: string) => void events.emit('logged', message, fields);
  const file = await openPolicyFile({
    path,
    regions: false,
    log: { info: log, error: log },
    onChange: (policy) => void events.emit('changed', policy.ordered[0]?.id),
    onFault: (faults) => void (faults !== '' && events.emit('refused', faults)),
  });
  opened.push(file);
  return file;
}

/** All or nothing, so that no look falls between truncating and writing. */
async function replace(text: string): Promise<void> {
  await writeFile(join(directory, 'draft'), text);
  await rename(join(directory, 'draft'), path);
}

const deciding = (file: PolicyFile) => decide(file.current(), request(), 0).ruleId;

test('a changed file decides from then on, without a restart', async () => {
  await writeFile(path, rulesFor('first'));
  const file = await openFile();
  expect(deciding(file)).toBe('first');
  const changed = once(events, 'changed');
  await writeFile(path, rulesFor('second'));
  expect(await changed).toEqual(['second']);
  expect(deciding(file)).toBe('second');
});

test('a bad file is refused with all its faults, logged, published, and the good one goes on deciding', async () => {
  await replace(rulesFor('good'));
  const file = await openFile();
  const { revision } = file.current();
  const published: PolicyRefused[] = [];
  const listen = (message: unknown) => published.push(message as PolicyRefused);
  subscribe('sage:policy.refused', listen);
  const refused = once(events, 'refused');
  const logged = once(events, 'logged');
  await replace(BAD);
  const [faults] = await refused;
  unsubscribe('sage:policy.refused', listen);
  expect(faults).toBe(
    `${path}:4:5: rules[0]: \`effect\` is missing\n${path}:4:16: rules[0].efect: unknown key \`efect\`, did you mean \`effect\`?`,
  );
  expect((await logged)[0]).toBe('policy refused');
  expect(published).toEqual([{ path, revision, faults }]);
  expect(deciding(file)).toBe('good');
  expect(await file.reload()).toBe('unchanged');

  await replace(rulesFor('mended'));
  expect(['reloaded', 'unchanged']).toContain(await file.reload());
  expect(deciding(file)).toBe('mended');
});

test('a file that fails its own tests, or is gone, is refused too', async () => {
  await replace(rulesFor('good'));
  const file = await openFile();
  let refused = once(events, 'refused');
  await replace(
    `${rulesFor('next')}tests: [{ name: closed, request: { method: GET, path: /x }, expect: { allow: false } }]\n`,
  );
  expect((await refused)[0]).toContain('test `closed`: expected deny, got allow by `next`');
  refused = once(events, 'refused');
  await rm(path);
  expect((await refused)[0]).toContain('cannot be read (ENOENT)');
  expect(deciding(file)).toBe('good');
});

test('a rename over the file is seen, as editors do it', async () => {
  await writeFile(path, rulesFor('first'));
  const file = await openFile();
  const changed = once(events, 'changed');
  await writeFile(join(directory, '.policy.yaml.swp'), rulesFor('renamed'));
  await rename(join(directory, '.policy.yaml.swp'), path);
  expect(await changed).toEqual(['renamed']);
  expect(deciding(file)).toBe('renamed');
});

test('a swap of the symlinked directory is seen, as Kubernetes does it, again and again', async () => {
  for (const version of ['1', '2', '3']) {
    await mkdir(join(directory, `..v${version}`));
    await writeFile(join(directory, `..v${version}`, 'policy.yaml'), rulesFor(`v${version}`));
  }
  await symlink('..v1', join(directory, '..data'));
  await symlink(join('..data', 'policy.yaml'), path);
  const file = await openFile();
  expect(deciding(file)).toBe('v1');
  for (const version of ['2', '3']) {
    const changed = once(events, 'changed');
    await symlink(`..v${version}`, join(directory, '..data_tmp'));
    await rename(join(directory, '..data_tmp'), join(directory, '..data'));
    expect(await changed).toEqual([`v${version}`]);
  }
});

test('an edit of the file behind a symlink is seen', async () => {
  await mkdir(join(directory, 'elsewhere'));
  await writeFile(join(directory, 'elsewhere', 'real.yaml'), rulesFor('first'));
  await symlink(join(directory, 'elsewhere', 'real.yaml'), path);
  const file = await openFile();
  // One look settles which directory the symlink leads to.
  await file.reload();
  const changed = once(events, 'changed');
  await writeFile(join(directory, 'elsewhere', 'real.yaml'), rulesFor('edited'));
  expect(await changed).toEqual(['edited']);
});

test('the first load is refused with a code and every fault', async () => {
  await expect(openFile()).rejects.toMatchObject({
    code: 'policy_file_unreadable',
    message: `the policy cannot be used:\n${path}: cannot be read (ENOENT)`,
  });
  await writeFile(path, BAD);
  await expect(openFile()).rejects.toMatchObject({
    code: 'policy_file_invalid',
    message: expect.stringMatching(/:4:5: .*\n.*:4:16: /),
  });
  await writeFile(path, Buffer.from([0x61, 0x3a, 0xff]));
  await expect(openFile()).rejects.toMatchObject({
    code: 'policy_file_unreadable',
    message: expect.stringContaining('is not UTF-8'),
  });
  await writeFile(path, Buffer.alloc(1024 * 1024 + 1, ' '));
  await expect(openFile()).rejects.toMatchObject({
    code: 'policy_file_unreadable',
    message: expect.stringContaining('is larger than 1048576 bytes'),
  });
});

test('a reload is published with both revisions; however often it is asked for', async () => {
  await replace(rulesFor('first'));
  const file = await openFile();
  const before = file.current().revision;
  const published: PolicyReloaded[] = [];
  const listen = (message: unknown) => published.push(message as PolicyReloaded);
  subscribe('sage:policy.reloaded', listen);
  await replace(rulesFor('second'));
  await Promise.all([file.reload(), file.reload(), file.reload()]);
  unsubscribe('sage:policy.reloaded', listen);
  expect(published).toEqual([
    { path, revision: file.current().revision, previousRevision: before, rules: 1 },
  ]);
  expect(before).toMatch(/^[0-9a-f]{16}$/);
  expect(file.current().revision).not.toBe(before);
});

test('a listener that throws is logged and does not stop the next reload', async () => {
  await replace(rulesFor('first'));
  const file = await openFile();
  events.on('changed', () => {
    throw new Error('a fault elsewhere');
  });
  const messages: string[] = [];
  events.on('logged', (message: string) => messages.push(message));
  await replace(rulesFor('second'));
  await file.reload();
  await replace(rulesFor('third'));
  await file.reload();
  expect(deciding(file)).toBe('third');
  expect(messages).toContain('a policy listener failed');
});
