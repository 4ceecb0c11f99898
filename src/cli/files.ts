/** Files as people name them: read with a bound, written whole or not at all, secrets to be read by their owner alone. */
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CliError } from './errors.ts';

/** Far above any configuration, key or captured request; a wrong path ends here. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;
const OTHERS = 0o077;

function reason(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** `-` is standard input. @throws {CliError} file_unreadable */
export function readBytes(path: string): Buffer {
  try {
    if (path === '-') return readFileSync(0);
    const file = openSync(path, 'r');
    try {
      if (fstatSync(file).size > FILE_BYTES_MAX) throw Object.assign(new Error(), { code: 'too large' });
      return readFileSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new CliError('file_unreadable', `${path} (${reason(error)})`, { cause: error });
  }
}

export function readText(path: string): string {
  return readBytes(path).toString('utf8');
}

/**
 * A file that holds a secret.
 * @throws {CliError} file_unreadable, file_open_to_others
 */
export function readSecret(path: string): string {
  let mode = 0;
  try {
    const file = openSync(path, 'r');
    mode = fstatSync(file).mode;
    closeSync(file);
  } catch (error) {
    throw new CliError('file_unreadable', `${path} (${reason(error)})`, { cause: error });
  }
  // Windows has no such bits; a pipe, as of `<(command)`, is not a file others could open.
  if (process.platform !== 'win32' && (mode & 0o170000) === 0o100000 && (mode & OTHERS) !== 0)
    throw new CliError('file_open_to_others', path);
  return readText(path).trim();
}

export interface WriteOptions {
  /** Whether it may replace a file. */
  readonly force: boolean;
  /** Whether others may read it. */
  readonly secret?: boolean;
}

/** @throws {CliError} file_exists, file_unwritable */
export function writeFile(path: string, text: string, { force, secret = false }: WriteOptions): void {
  const mode = secret ? 0o600 : 0o644;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { flag: force ? 'w' : 'wx', mode });
  } catch (error) {
    if (reason(error) === 'EEXIST') throw new CliError('file_exists', path);
    throw new CliError('file_unwritable', `${path} (${reason(error)})`, { cause: error });
  }
}
