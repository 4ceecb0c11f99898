/**
 * The package as a stranger gets it: packed by `npm pack` and installed from the tarball, with what it depends on and
 * nothing else. Made once a run, whichever test file asks first.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { childEnvironment } from '../../src/env.ts';
import { until } from './gateway.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);
/** npm on a busy machine with a cold cache; with a warm one it is a few seconds. */
const NPM_TIMEOUT_MS = 240_000;

export interface Tarball {
  readonly file: string;
  /** Of its bytes, as a lock file writes it. */
  readonly integrity: string;
  /** Paths in the package. */
  readonly files: readonly string[];
}

export interface InstalledPackage {
  /** A project whose only dependency is the package. */
  readonly folder: string;
  /** The package in it. */
  readonly root: string;
  /** The command, as npm linked it. */
  readonly sage: string;
}

/** One run of npm, away from this run's own npm variables. @returns its standard output */
async function npm(folder: string, ...args: string[]): Promise<string> {
  const ours = Object.keys(process.env).filter((name) => name.toLowerCase().startsWith('npm_'));
  const env = childEnvironment({
    ...Object.fromEntries(ours.map((name) => [name, null])),
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    npm_config_prefer_offline: 'true',
  });
  const { stdout } = await run('npm', args, { cwd: folder, env, timeout: NPM_TIMEOUT_MS });
  return stdout;
}

/** Does `make` in the first process of this run that asks; the others wait for what it returned. */
async function onceARun<T>(name: string, make: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(inject('sharedFolder'), name);
  const done = `${folder}.json`;
  const failed = `${folder}.failed`;
  try {
    mkdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    await until(
      () => existsSync(done) || existsSync(failed),
      `${name}, made by another file`,
      NPM_TIMEOUT_MS,
    );
    if (existsSync(failed)) throw new Error(readFileSync(failed, 'utf8'));
    return JSON.parse(readFileSync(done, 'utf8')) as T;
  }
  try {
    const made = await make(folder);
    // By rename: whoever waits must not read the half of it.
    writeFileSync(`${done}.new`, JSON.stringify(made));
    renameSync(`${done}.new`, done);
    return made;
  } catch (error) {
    writeFileSync(failed, String(error));
    throw error;
  }
}

/** `npm pack`, which builds. */
export function packedTarball(): Promise<Tarball> {
  return onceARun('tarball', async (folder) => {
    const [pack] = JSON.parse(await npm(ROOT, 'pack', '--json', '--silent', '--pack-destination', folder));
    const files = (pack.files as { path: string }[]).map(({ path }) => path);
    return { file: join(folder, pack.filename), integrity: pack.integrity, files };
  });
}

type LockEntry = Readonly<Record<string, unknown>>;

/**
 * `npm ci` of a project that depends on the tarball. Its lock file has the versions that this project is locked to,
 * so that npm's cache, filled when this project was installed, has them all.
 */
export function installedPackage(): Promise<InstalledPackage> {
  return onceARun('installed', async (folder) => {
    const { file, integrity } = await packedTarball();
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
    const ourselves = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const { dependencies, bin, engines, version } = ourselves;
    const needed = Object.entries(lock.packages as Record<string, LockEntry>).filter(
      ([path, entry]) => path !== '' && entry.dev !== true,
    );
    const root = { name: 'stranger', version: '1.0.0', dependencies: { 'sage-gateway': `file:${file}` } };
    const ours = { version, resolved: `file:${file}`, integrity, dependencies, bin, engines };
    const packages = { '': root, ...Object.fromEntries(needed), 'node_modules/sage-gateway': ours };
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...root, private: true, type: 'module' }));
    writeFileSync(
      join(folder, 'package-lock.json'),
      JSON.stringify({ name: root.name, version: root.version, lockfileVersion: 3, packages }),
    );
    await npm(folder, 'ci');
    return {
      folder,
      root: join(folder, 'node_modules', 'sage-gateway'),
      sage: join(folder, 'node_modules', '.bin', 'sage'),
    };
  });
}
