/** Files as people name them: read with a bound, written whole or not at all, secrets to be read by their owner alone. */
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CliError } from './errors.ts';

/** Far above any configuration, key or captured request; a wrong path ends here. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;
const CHUNK_BYTES = 65_536;
const OTHERS = 0o077;
/** Between two looks at a pipe whose writer is slower than we are: not felt, and no busy loop. */
const PIPE_WAIT_MS = 10;

function reason(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** One read. A pipe may have been made non-blocking, and then has nothing yet (EAGAIN) where others would wait. */
function readChunk(file: number, chunk: Buffer): number {
  for (;;) {
    try {
      return readSync(file, chunk);
    } catch (error) {
      if (reason(error) !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PIPE_WAIT_MS);
    }
  }
}

/** All of an open file or pipe. @throws Error `too large` */
function readOpen(file: number): Buffer {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const read = readChunk(file, chunk);
    if (read === 0) return Buffer.concat(chunks, bytes);
    bytes += read;
    if (bytes > FILE_BYTES_MAX) throw Object.assign(new Error(), { code: 'too large' });
    chunks.push(chunk.subarray(0, read));
  }
}

/** `-` is standard input. @throws {CliError} file_unreadable */
export function readBytes(path: string): Buffer {
  try {
    if (path === '-') return readOpen(0);
    const file = openSync(path, 'r');
    try {
      return readOpen(file);
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

function unwritable(path: string, error: unknown): CliError {
  if (reason(error) === 'EEXIST') return new CliError('file_exists', path);
  return new CliError('file_unwritable', `${path} (${reason(error)})`, { cause: error });
}

/** @throws {CliError} file_exists, file_unwritable */
export function writeFile(path: string, text: string, { force, secret = false }: WriteOptions): void {
  const mode = secret ? 0o600 : 0o644;
  try {
    mkdirSync(dirname(path), { recursive: true });
    if (!force) {
      writeFileSync(path, text, { flag: 'wx', mode });
      return;
    }
    // In its place as a whole, and with the mode of a new file: one that is there may be open to others.
    const fresh = `${path}.${process.pid}.new`;
    writeFileSync(fresh, text, { flag: 'wx', mode });
    renameSync(fresh, path);
  } catch (error) {
    throw unwritable(path, error);
  }
}

/**
 * A new file for a secret that is still to come: what is shown once must not be lost because the file cannot be written.
 * @throws {CliError} file_exists, file_unwritable
 */
export function reserveSecretFile(path: string): { write(text: string): void; release(): void } {
  writeFile(path, '', { force: false, secret: true });
  return {
    write: (text) => writeFileSync(path, text, { mode: 0o600 }),
    release: () => rmSync(path, { force: true }),
  };
}
