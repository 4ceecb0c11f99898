import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));
/** Packages that only some places may import; the value begins the paths (below `src`) that may. */
const OWNED_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  ioredis: ['store/'],
  pg: ['store/'],
  'node:sqlite': ['store/'],
  ethers: ['trust/chain/', 'trust/keys/recovery-thread.ts'],
};
/** The wire runs wherever the SDK does; only the hashing that the gateway does is Node's. */
const WIRE_MAY_IMPORT: Readonly<Record<string, string>> = { 'trust/wire/content-digest.ts': 'node:crypto' };

interface Import {
  readonly file: string;
  readonly specifier: string;
  readonly typeOnly: boolean;
  /** Path below `src`, or null for a package. */
  readonly target: string | null;
}

/** Reads the table of rooms in `src/README.md`: room -> what it may import. */
function readTable(): Map<string, Set<string>> {
  const table = new Map<string, Set<string>>();
  for (const line of readFileSync(join(SRC, 'README.md'), 'utf8').split('\n')) {
    const match = /^\| `(\w+)\/` *\|[^|]*\|([^|]*)\|$/.exec(line);
    if (match === null) continue;
    table.set(match[1]!, new Set([...match[2]!.matchAll(/`([\w.-]+)`/g)].map((m) => m[1]!)));
  }
  return table;
}

function sources(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.split(sep).join('/'));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  const found: Import[] = [];
  const pattern =
    /(?:^|\n)\s*(import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|import\(\s*'([^']+)'\s*\)/g;
  for (const match of text.matchAll(pattern)) {
    const specifier = match[3] ?? match[4]!;
    const relativeTarget = specifier.startsWith('.')
      ? relative(SRC, resolve(SRC, dirname(file), specifier))
          .split(sep)
          .join('/')
      : null;
    found.push({ file, specifier, typeOnly: match[2] !== undefined, target: relativeTarget });
  }
  return found;
}

const table = readTable();
const files = sources();
const imports = files.flatMap(importsOf);
const room = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : path);
const folder = (path: string): string => path.split('/').slice(0, 2).join('/');

describe('the house', () => {
  test('the table lists the eight rooms', () => {
    expect([...table.keys()].sort()).toEqual([
      'agents',
      'cli',
      'gateway',
      'operator',
      'policy',
      'sdk',
      'store',
      'trust',
    ]);
  });

  test('every source file belongs to a room or stands at the top', () => {
    const top = new Set([
      'main.ts',
      'app.ts',
      'env.ts',
      'env-reader.ts',
      'env-safety.ts',
      'config.ts',
      'config-schema.ts',
      'in-force.ts',
      'operator-ports.ts',
      'parts.ts',
      'watch.ts',
      'signed-operators.ts',
      'env-variables.ts',
    ]);
    expect(files.filter((file) => !table.has(room(file)) && !top.has(file))).toEqual([]);
  });

  test('imports between rooms follow the table', () => {
    const wrong = imports.filter(({ file, target, typeOnly }) => {
      if (target === null || !file.includes('/') || room(file) === room(target)) return false;
      if (typeOnly && room(file) === 'operator' && room(target) === 'gateway') return false;
      return !table.get(room(file))!.has(room(target));
    });
    expect(wrong.map(({ file, specifier }) => `${file} -> ${specifier}`)).toEqual([]);
  });

  test('folders of the path reach each other by decorators and types only', () => {
    const wrong = imports.filter(({ file, target, typeOnly }) => {
      if (target === null || typeOnly || room(file) !== 'gateway' || room(target) !== 'gateway') return false;
      const standsInFolder = (path: string): boolean => path.split('/').length > 2;
      return standsInFolder(file) && standsInFolder(target) && folder(file) !== folder(target);
    });
    expect(wrong.map(({ file, specifier }) => `${file} -> ${specifier}`)).toEqual([]);
  });

  test('a package with an owner is imported by its owners alone', () => {
    const wrong = imports.filter(({ file, specifier }) => {
      const owners = OWNED_PACKAGES[specifier.split('/')[0]!];
      return owners !== undefined && !owners.some((owner) => file.startsWith(owner));
    });
    expect(wrong.map(({ file, specifier }) => `${file} -> ${specifier}`)).toEqual([]);
  });

  test('the wire is pure', () => {
    const wrong = imports.filter(
      ({ file, specifier, target }) =>
        file.startsWith('trust/wire/') &&
        (target === null ? WIRE_MAY_IMPORT[file] !== specifier : !target.startsWith('trust/wire/')),
    );
    expect(wrong.map(({ file, specifier }) => `${file} -> ${specifier}`)).toEqual([]);
  });

  test('only env.ts reads the environment', () => {
    const wrong = files.filter(
      (file) => file !== 'env.ts' && /process\.env\b/.test(readFileSync(join(SRC, file), 'utf8')),
    );
    expect(wrong).toEqual([]);
  });

  test('files stay under 400 lines', () => {
    const long = files.filter((file) => readFileSync(join(SRC, file), 'utf8').split('\n').length > 401);
    expect(long).toEqual([]);
  });
});
