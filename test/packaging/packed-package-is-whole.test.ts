import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, posix } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { type InstalledPackage, installedPackage, packedTarball, type Tarball } from '../support/packed.ts';

const run = promisify(execFile);
const ROOT = new URL('../../', import.meta.url);
const MANIFEST = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'));
const PACK_TIMEOUT_MS = 240_000;

let tarball: Tarball;
let installed: InstalledPackage;
beforeAll(async () => {
  tarball = await packedTarball();
  installed = await installedPackage();
}, PACK_TIMEOUT_MS);

/** Each place that `exports` leads to; `*` stands for one file at least. */
function exported(): string[] {
  const targets = Object.values(MANIFEST.exports as Record<string, string | Record<string, string>>);
  return targets.flatMap((target) => (typeof target === 'string' ? [target] : Object.values(target)));
}

describe('the tarball', () => {
  test('has what the manifest leads to', () => {
    const places = [...exported(), ...Object.values(MANIFEST.bin as Record<string, string>)];
    const missing = places.filter((place) => {
      const [before = '', after = ''] = place.replace(/^\.\//, '').split('*');
      return !tarball.files.some((file) => file.startsWith(before) && file.endsWith(after));
    });
    expect(missing).toEqual([]);
  });

  test('has its licence and its manual, and no source, test or demo', () => {
    for (const file of [
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'docs/getting-started.md',
      'src/policy/README.md',
    ])
      expect(tarball.files).toContain(file);
    const strangers = tarball.files.filter(
      (file) =>
        /^(?:src\/.*(?<!README\.md)$|test\/|deploy\/(?:scripts|docker|compose)\/|\.ci\/)/.test(file) ||
        /(?<!\.d)\.ts$/.test(file) ||
        /\bdemo\//.test(file),
    );
    expect(strangers).toEqual([]);
  });

  test('has a declaration beside each module', () => {
    const modules = tarball.files.filter((file) => file.endsWith('.js'));
    expect(modules.length).toBeGreaterThan(100);
    const untyped = modules.filter((file) => !tarball.files.includes(file.replace(/\.js$/, '.d.ts')));
    expect(untyped).toEqual([]);
  });
});

test('the gateway can be built in one’s own program, and its types read', async () => {
  const program = `
    import { buildGateway } from 'sage-gateway';
    import { readEnv, type Env } from 'sage-gateway/env';
    const env: Env = readEnv({ CONFIG_FILE: new URL('./sage.yaml', import.meta.url).pathname, LOG_LEVEL: 'silent' });
    const app = await buildGateway(env);
    const origin = await app.listen({ host: '127.0.0.1', port: 0 });
    console.log((await fetch(new URL('/health/live', origin))).status);
    await app.close();
  `;
  const folder = join(installed.folder, 'own-program');
  mkdirSync(folder);
  writeFileSync(join(folder, 'program.ts'), program);
  writeFileSync(
    join(folder, 'sage.yaml'),
    'apiVersion: sage/v1\nagents: [{ id: echo, upstreams: ["http://127.0.0.1:9"] }]\n',
  );
  const strict = { module: 'nodenext', target: 'es2024', strict: true, noEmit: true, skipLibCheck: true };
  const types = join(new URL('node_modules/@types', ROOT).pathname);
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...strict, typeRoots: [types], types: ['node'] } }),
  );
  const tsc = createRequire(import.meta.url)
    .resolve('typescript/package.json')
    .replace('package.json', 'bin/tsc');
  const checked = await run(process.execPath, [tsc, '-p', folder]).catch((error) => error);
  expect(checked.stdout).toBe('');
  const { stdout } = await run(process.execPath, [join(folder, 'program.ts')], { cwd: folder });
  expect(stdout).toBe('200\n');
}, 60_000);

describe('the command', () => {
  test('says its version, as npx runs it', async () => {
    const { stdout } = await run('npx', ['--offline', 'sage-gateway', '--version'], {
      cwd: installed.folder,
    });
    expect(stdout.trim()).toBe(MANIFEST.version);
  });

  test('says which Node it needs when this one is too old', async () => {
    // As an old Node would run it: it has nothing to go by but the version.
    const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '22.11.0' } })`;
    const failed = await run(process.execPath, [
      '--import',
      `data:text/javascript,${encodeURIComponent(pretend)}`,
      join(installed.root, 'dist', 'cli', 'main.js'),
      'serve',
    ]).catch((error) => error);
    expect(failed.code).toBe(1);
    expect(failed.stdout).toBe('');
    const needed = MANIFEST.engines.node.replace('>=', '');
    expect(failed.stderr).toMatch(`sage: Node ${needed} or newer is needed, and this is 22.11.0`);
  });

  test('imports nothing before it has looked at the version', () => {
    const entry = readFileSync(join(installed.root, 'dist', 'cli', 'main.js'), 'utf8');
    const imports = [...entry.matchAll(/^import .* from '([^']+)';$/gm)].map(([, from]) => from);
    expect(imports).toEqual(['node:fs']);
  });
});

/** Names of packages that a module or a declaration imports, in whichever way. */
function packagesOf(text: string): string[] {
  const specifiers = [
    ...text.matchAll(/^(?:import|export)\b[^'";]*?from '([^'.][^']*)'/gm),
    ...text.matchAll(/^import '([^'.][^']*)'/gm),
    ...text.matchAll(/\bimport\('([^'.][^']*)'\)/g),
    ...text.matchAll(/createRequire\(import\.meta\.url\)\('([^'.][^']*)'\)/g),
  ];
  return specifiers
    .map(([, specifier = '']) => specifier)
    .filter((specifier) => !specifier.startsWith('node:'))
    .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
}

test('what it imports it depends on, and on nothing else', () => {
  const read = (end: RegExp): string[] =>
    tarball.files
      .filter((file) => end.test(file))
      .flatMap((file) => packagesOf(readFileSync(join(installed.root, file), 'utf8')));
  const dependencies = Object.keys({ ...MANIFEST.dependencies, ...MANIFEST.optionalDependencies });
  const imported = new Set(read(/\.js$/));
  expect([...imported].filter((name) => !dependencies.includes(name))).toEqual([]);
  // What only the demo and the like import is for developers; what nothing imports is told by knip.
  const inSource = readdirSync(new URL('src', ROOT), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => readFileSync(new URL(`src/${file}`, ROOT), 'utf8'))
    .flatMap((text) => packagesOf(text.replace(/^import type .*$/gm, '')));
  const named = new Set(read(/\.d\.ts$/));
  const used = (name: string): boolean => imported.has(name) || named.has(name);
  expect(inSource.filter((name) => dependencies.includes(name) && !used(name))).toEqual([]);
  // A declaration whose import is not there makes `any` of what it names.
  const peers = Object.keys(MANIFEST.peerDependencies);
  expect([...named].filter((name) => !dependencies.includes(name) && !peers.includes(name))).toEqual([]);
  // Who does not use such a framework need not install it.
  for (const name of peers) expect(MANIFEST.peerDependenciesMeta[name]).toEqual({ optional: true });
});

test('what a module names beside itself was packed with it', () => {
  const modules = tarball.files.filter((file) => file.endsWith('.js'));
  const named = modules.flatMap((file) => {
    const text = readFileSync(join(installed.root, file), 'utf8');
    return [...text.matchAll(/new URL\('(\.[^']+)', import\.meta\.url\)/g)].map(([, path = '']) => ({
      file,
      // Workers are named as they are in the source; see src/policy/check-in-worker.ts.
      path: posix.join(posix.dirname(file), path.replace(/\.ts$/, '.js')),
    }));
  });
  expect(named.length).toBeGreaterThan(2);
  const isThere = (path: string): boolean => tarball.files.some((file) => `${file}/`.startsWith(path));
  expect(named.filter(({ path }) => !isThere(path))).toEqual([]);
});
