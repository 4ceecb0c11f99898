import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ConfigFollower, followConfig, readConfig } from '../src/config.ts';
import { configOf, until } from './support/gateway.ts';

const text = (id: string): string =>
  configOf({ agents: [`{ id: ${id}, upstreams: ["http://127.0.0.1:9"] }`] });
let folder: string;
let file: string;
let follower: ConfigFollower | null;
/** Ids of the agents taken, and faults, in the order they came. */
let seen: string[];
/** What `take` does before it says that it took. */
let taking: () => Promise<void>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sage-config-'));
  file = join(folder, 'sage.yaml');
  seen = [];
  follower = null;
  taking = () => Promise.resolve();
  writeFileSync(file, text('first'));
});
afterEach(async () => {
  await follower?.close();
  rmSync(folder, { recursive: true, force: true });
});

function follow(pollMs?: number): void {
  follower = followConfig(
    file,
    readConfig(file),
    async ({ agents }) => {
      await taking();
      seen.push(agents[0]?.id ?? '');
    },
    (fault) => void seen.push(`fault: ${fault}`),
    pollMs,
  );
}
const next = (count: number): Promise<unknown> =>
  until(() => seen.length >= count, 'the change is seen', 3_000);

test('a file that is written in place, and one that takes its place', async () => {
  follow();
  writeFileSync(file, text('second'));
  await next(1);
  writeFileSync(`${file}.new`, text('third'));
  renameSync(`${file}.new`, file);
  await next(2);
  expect(seen).toEqual(['second', 'third']);
});

test('a folder behind a symbolic link that is swapped, as Kubernetes does it', async () => {
  for (const [version, id] of [
    ['..1', 'first'],
    ['..2', 'second'],
  ] as const) {
    mkdirSync(join(folder, version));
    writeFileSync(join(folder, version, 'sage.yaml'), text(id));
  }
  rmSync(file);
  symlinkSync('..1', join(folder, '..data'));
  symlinkSync('..data/sage.yaml', file);
  follow();
  symlinkSync('..2', join(folder, '..data.new'));
  renameSync(join(folder, '..data.new'), join(folder, '..data'));
  await next(1);
  expect(seen).toEqual(['second']);
});

test('a change between the first read and the watch', async () => {
  const before = readConfig(file);
  writeFileSync(file, text('meanwhile'));
  follower = followConfig(
    file,
    before,
    async ({ agents }) => void seen.push(agents[0]?.id ?? ''),
    () => undefined,
  );
  await next(1);
  expect(seen).toEqual(['meanwhile']);
});

test('a bad one is told, the good one after it taken, even when it is the one from before', async () => {
  follow();
  writeFileSync(file, 'agents: [');
  await next(1);
  expect(seen[0]).toMatch(/^fault: .*sage\.yaml:1:\d+: /);
  writeFileSync(file, text('first'));
  await next(2);
  expect(seen[1]).toBe('first');
});

test('a file behind a symbolic link, edited where it is', async () => {
  const elsewhere = join(folder, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'sage.yaml'), text('first'));
  rmSync(file);
  symlinkSync('elsewhere/sage.yaml', file);
  follow(100);
  writeFileSync(join(elsewhere, 'sage.yaml'), text('second'));
  await next(1);
  expect(seen).toEqual(['second']);
});

test('a fault is told once, however often it is met, and the same text tried again', async () => {
  let usable = false;
  taking = () => (usable ? Promise.resolve() : Promise.reject(new Error('what it names is bad')));
  follow(60);
  writeFileSync(file, text('second'));
  await next(1);
  usable = true;
  await next(2);
  expect(seen).toEqual(['fault: what it names is bad', 'second']);
});

test('a file that goes away is told, and its return noticed', async () => {
  follow();
  renameSync(file, `${file}.old`);
  await next(1);
  expect(seen[0]).toMatch(/^fault: cannot read .*ENOENT/);
  renameSync(`${file}.old`, file);
  await next(2);
  expect(seen[1]).toBe('first');
});

test('one change is taken after the other, and closing waits for the last', async () => {
  const gate = Promise.withResolvers<void>();
  taking = () => gate.promise;
  follow();
  writeFileSync(file, text('second'));
  // The first change is being taken when the next one comes.
  await new Promise<void>((resolve) => {
    taking = () => {
      resolve();
      taking = () => Promise.resolve();
      return gate.promise;
    };
  });
  writeFileSync(file, text('third'));
  expect(seen).toEqual([]);
  gate.resolve();
  await next(2);
  expect(seen).toEqual(['second', 'third']);
  await follower?.close();
});
