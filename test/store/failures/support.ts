/** Databases that fail for real, and processes of their own to fail them with. */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { Database } from '../../../src/store/database.ts';
import { type DatabaseOptions, openDatabase } from '../../../src/store/open-database.ts';
import { type Place, placeAt } from '../contract/support.ts';

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sage-store-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Opened {
  readonly database: Database;
  readonly lines: Place['lines'];
}

/** Closed when the test is over. */
export async function openAt(
  databaseUrl: string | null,
  dataDir: string,
  options: Partial<DatabaseOptions> = {},
): Promise<Opened> {
  const place = placeAt(databaseUrl, dataDir);
  const database = await openDatabase({ ...place.options, ...options });
  onTestFinished(() => database.close());
  return { database, lines: place.lines };
}

export interface Child {
  readonly process: ChildProcess;
  /** What it writes, line by line. */
  readonly lines: Interface;
  /** The next line; rejects with what it said on its error stream when it ends before. */
  next(): Promise<string>;
}

/** Runs a file by this Node, after the words of `before` when a shell is to prepare something. */
export function startChild(
  file: URL,
  args: readonly string[],
  before: readonly string[] = [],
  options: SpawnOptions = {},
): Child {
  const [command = '', ...rest] = [...before, process.execPath, fileURLToPath(file), ...args];
  const child = spawn(command, rest, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  if (child.stdout === null || child.stderr === null) throw new Error('a child with pipes has streams');
  const said: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const lines = createInterface({ input: child.stdout });
  const waiting: string[] = [];
  lines.on('line', (line) => waiting.push(line));
  return {
    process: child,
    lines,
    async next() {
      while (waiting.length === 0) {
        const what = await Promise.race([
          once(lines, 'line').then(() => 'line'),
          once(child, 'exit').then(() => 'exit'),
        ]);
        if (what === 'exit' && waiting.length === 0) throw new Error(`the child ended: ${said.join('')}`);
      }
      return waiting.shift() ?? '';
    },
  };
}

/** Words that run a command where it may mount: as root, or else as root of a namespace of its own. */
export function mounting(script: string): readonly string[] {
  const flags = process.getuid?.() === 0 ? '-m' : '-Urm';
  return ['unshare', flags, 'sh', '-c', `${script} && exec "$@"`, 'sh'];
}

/**
 * Whether this machine lets a test mount. False only when `ALLOW_MISSING` names mount.
 * @throws Error when it does not and that is not allowed
 */
export function canMount(): boolean {
  const [command = '', ...args] = mounting('mount -t tmpfs tmpfs /mnt');
  if (spawnSync(command, [...args, 'true'], { stdio: 'ignore' }).status === 0) return true;
  if ((process.env.ALLOW_MISSING ?? '').split(',').includes('mount')) return false;
  throw new Error(
    'mount: tests of full and read-only disks mount a tmpfs, as root or in a user namespace; neither is allowed here. ALLOW_MISSING=mount skips them',
  );
}
