/** Runs the command as a process, as people do. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Value } from 'typebox/value';
import { afterAll } from 'vitest';
import { AnswerSchema } from '../../src/cli/answer-schema.ts';
import { CLI_VARIABLES, childEnvironment } from '../../src/env.ts';
import { VARIABLES } from '../../src/env-variables.ts';

export const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly folder?: string;
  readonly env?: Readonly<Record<string, string | null>>;
  readonly input?: string | Uint8Array;
}

/** Nothing of the machine's own settings. */
export function environmentOf(env: RunOptions['env'] = {}): NodeJS.ProcessEnv {
  const none = Object.fromEntries([...VARIABLES, ...CLI_VARIABLES].map((name) => [name, null]));
  return childEnvironment({ ...none, HOME: '/nonexistent', XDG_CONFIG_HOME: null, ...env });
}

export function start(words: readonly string[], options: RunOptions = {}): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [MAIN, ...words], {
    cwd: options.folder,
    env: environmentOf(options.env),
    stdio: 'pipe',
  });
}

export function sage(words: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const child = start(words, options);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.end(options.input ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      resolve({ code, out: Buffer.concat(out).toString('utf8'), err: Buffer.concat(err).toString('utf8') }),
    );
  });
}

/** As the tests look into it. */
type Document = ReturnType<typeof JSON.parse>;

/** The document of `--json`, its frame checked. */
export async function sageJson(
  words: readonly string[],
  options: RunOptions = {},
): Promise<{
  readonly code: number | null;
  readonly ok: boolean;
  readonly data: Document;
  readonly error: Document;
}> {
  const { code, out, err } = await sage([...words, '--json'], options);
  let document: Document;
  try {
    document = JSON.parse(out);
  } catch {
    throw new Error(`no JSON, exit code ${code}:\n${out}\n${err}`);
  }
  const isOurs: boolean = Value.Check(AnswerSchema, document);
  if (!isOurs) throw new Error(`not our schema: ${out}`);
  return { code, ok: document.ok, data: document.data ?? {}, error: document.error ?? {} };
}

/** A folder that is gone when the file's tests are. */
export function folderOf(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `sage-cli-${name}-`));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
