import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CompiledPolicy } from '../../src/policy/compile.ts';
import { decide, type PolicyRequest } from '../../src/policy/decide.ts';
import { openPolicySource, type PolicySource } from '../../src/policy/policy-source.ts';

const ALICE = 'did:key:z6MkAlice';
const BOB = 'did:key:z6MkBob';
const policy = (name: string, did: string): string => `apiVersion: sage/v1
kind: PolicySet
metadata: { name: ${name} }
rules: [{ id: one, effect: allow, match: { did: "${did}" } }]
`;
const listed = (...allow: string[]) => [{ agentId: 'echo', allow, open: false }];
let folder: string;
let source: PolicySource | null;
let changes: CompiledPolicy[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sage-source-'));
  source = null;
  changes = [];
});
afterEach(async () => {
  await source?.close();
  rmSync(folder, { recursive: true, force: true });
});

const ignore = (): void => undefined;
async function open(file: string | null, ...allow: string[]): Promise<PolicySource> {
  source = await openPolicySource(file, listed(...allow), {
    regions: false,
    log: { info: ignore, error: ignore } as never,
    onChange: (next) => void changes.push(next),
    onFault: ignore,
  });
  return source;
}

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

function allows(from: PolicySource, did: string): boolean {
  const request: PolicyRequest = {
    did,
    method: 'GET',
    path: '/agents/echo/',
    address: '127.0.0.1',
    header: () => undefined,
    covers: () => false,
    region: () => null,
  } as PolicyRequest;
  return decide(from.current(), request, 0).effect === 'allow';
}

test('without a file the allow lists decide', async () => {
  const from = await open(null, ALICE);
  expect([allows(from, ALICE), allows(from, BOB)]).toEqual([true, false]);
  await from.configure(null, listed(BOB));
  expect([allows(from, ALICE), allows(from, BOB)]).toEqual([false, true]);
});

test('with a file it decides, whatever the lists say', async () => {
  const from = await open(write('a.yaml', policy('a', ALICE)), BOB);
  expect([allows(from, ALICE), allows(from, BOB)]).toEqual([true, false]);
});

test('from a file to the lists, to another file: each change is told', async () => {
  const from = await open(write('a.yaml', policy('a', ALICE)));
  const told = changes.length;
  await from.configure(null, listed(BOB));
  expect([allows(from, ALICE), allows(from, BOB)]).toEqual([false, true]);
  expect(changes.at(-1)).toBe(from.current());
  expect(changes.length).toBeGreaterThan(told);
  await from.configure(write('b.yaml', policy('b', ALICE)), listed(BOB));
  expect([allows(from, ALICE), allows(from, BOB)]).toEqual([true, false]);
  expect(changes.at(-1)).toBe(from.current());
});

test('a file that cannot be used changes nothing', async () => {
  const from = await open(write('a.yaml', policy('a', ALICE)), BOB);
  const before = from.current();
  await expect(from.configure(join(folder, 'none.yaml'), listed(BOB))).rejects.toThrow(/none\.yaml/);
  await expect(from.configure(write('bad.yaml', 'rules: ['), listed(BOB))).rejects.toThrow(/bad\.yaml:1:/);
  expect(from.current()).toBe(before);
  await expect(from.configure(null, listed('did:web:acme.com*'))).rejects.toThrow(/acme\.com/);
  expect(from.current()).toBe(before);
});

test('the file named is followed, the one before no more', async () => {
  const first = write('a.yaml', policy('a', ALICE));
  const from = await open(first);
  await from.configure(write('b.yaml', policy('b', ALICE)), listed());
  const taken = from.current();
  write('a.yaml', policy('a', BOB));
  write('b.yaml', policy('b', BOB));
  await expect.poll(() => allows(from, BOB), { interval: 10, timeout: 3_000 }).toBe(true);
  expect(from.current()).not.toBe(taken);
  expect(from.current().name).toBe('b');
});

test('a first file that cannot be used opens nothing', async () => {
  await expect(open(write('bad.yaml', 'rules: ['))).rejects.toThrow(/bad\.yaml:1:/);
});

test('a stored policy wins over file and lists, and leaves the field to them when it is taken away', async () => {
  const from = await open(write('a.yaml', policy('a', ALICE)));
  await from.store(policy('stored', BOB));
  expect([from.source(), from.current().name, from.text()]).toEqual([
    'store',
    'stored',
    policy('stored', BOB),
  ]);
  expect([allows(from, ALICE), allows(from, BOB)]).toEqual([false, true]);
  expect(changes.at(-1)).toBe(from.current());
  await from.store(null);
  expect([from.source(), from.current().name, from.text()]).toEqual(['file', 'a', policy('a', ALICE)]);
  expect(changes.at(-1)).toBe(from.current());
  await from.configure(null, listed(BOB));
  expect([from.source(), from.text()]).toEqual(['allow_lists', null]);
});

test('a stored policy that cannot be used changes nothing, and says where it fails', async () => {
  const from = await open(write('a.yaml', policy('a', ALICE)));
  const before = from.current();
  await expect(from.store('rules: [')).rejects.toMatchObject({
    code: 'policy_stored_invalid',
    message: expect.stringContaining('stored policy:1:'),
  });
  await from.store(policy('stored', BOB));
  await expect(from.store('nonsense')).rejects.toMatchObject({ code: 'policy_stored_invalid' });
  expect(from.current().name).toBe('stored');
  await from.store(null);
  expect(from.current()).toBe(before);
});

test('the file is followed while a stored policy decides, and decides as it is now once that is gone', async () => {
  const from = await open(write('a.yaml', policy('a', ALICE)));
  await from.store(policy('stored', BOB));
  const told = changes.length;
  write('a.yaml', policy('a2', ALICE));
  await from.configure(join(folder, 'a.yaml'), listed());
  await expect
    .poll(
      async () => {
        await from.store(null);
        const { name } = from.current();
        if (name !== 'a2') await from.store(policy('stored', BOB));
        return name;
      },
      { interval: 10, timeout: 3_000 },
    )
    .toBe('a2');
  // What the file said meanwhile was never handed on as in force.
  expect(changes.slice(told).every((change) => ['stored', 'a', 'a2'].includes(change.name))).toBe(true);
});

test('checking changes nothing, and too many who ask at once are told to come later', async () => {
  const from = await open(null, ALICE);
  const before = from.current();
  expect(await from.check(policy('x', BOB))).toMatchObject({ ok: true, policy: { name: 'x', rules: 1 } });
  expect(await from.check('rules: [')).toMatchObject({ ok: false, faults: [{ line: 1 }] });
  expect(from.current()).toBe(before);
  const many = await Promise.allSettled(Array.from({ length: 12 }, () => from.check(policy('x', BOB))));
  const refused = many.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(4);
  expect(refused[0]).toMatchObject({ reason: { code: 'policy_checks_busy' } });
});
