/** A project that uses the SDK of the packed package, and where the runtimes are. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installedPackage } from '../../support/packed.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const HERE = fileURLToPath(new URL('./', import.meta.url));

/** Command line of each runtime that is no browser, up to the script. */
export const RUNTIMES: readonly (readonly [name: string, command: string, args: readonly string[]])[] = [
  ['node', process.execPath, []],
  // Nothing is fetched from anywhere: what is not in the folder is an error.
  [
    'deno',
    join(ROOT, 'node_modules/.bin/deno'),
    ['run', '--quiet', '--cached-only', '--node-modules-dir=manual', '-A'],
  ],
  ['bun', join(ROOT, 'node_modules/.bin/bun'), ['--no-install']],
];

export interface SdkFolder extends Disposable {
  readonly folder: string;
  /** The installed package. */
  readonly root: string;
}

/** @param files of this folder, copied into the project */
export async function sdkFolder(...files: readonly string[]): Promise<SdkFolder> {
  const { root } = await installedPackage();
  const folder = mkdtempSync(join(tmpdir(), 'sage-sdk-'));
  mkdirSync(join(folder, 'node_modules'));
  // A copy: what it imports is looked for beside it, as in anybody's project.
  const copy = join(folder, 'node_modules', 'sage-gateway');
  cpSync(root, copy, { recursive: true });
  // What users of the middleware have themselves.
  for (const name of ['hono', 'express', '@types', 'fastify'])
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }');
  for (const file of files) copyFileSync(join(HERE, file), join(folder, file));
  return { folder, root: copy, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}
