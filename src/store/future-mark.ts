/**
 * How far ahead of its own clock this process has accepted signatures, kept on disk. Callers' clocks may run ahead
 * by the allowed skew, so a signature can be dated after the moment this process restarts and yet have been used
 * before; nonces in memory are gone then, and only this mark tells. It is written at most once for each second of
 * the future, and only when such a caller appears.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FutureMarkInvalid } from './errors.ts';

const FILE = 'accepted-until';

export interface FutureMark {
  /** Seconds since the epoch: signatures created up to here may have been accepted by an earlier process. */
  readonly inheritedSeconds: number;
  /** Must return before the signature is accepted. @throws when the mark cannot be written: then refuse. */
  note(createdSeconds: number): void;
}

/** @param folder DATA_DIR; made when it does not exist. @throws {FutureMarkInvalid} and what the file system says. */
export function openFutureMark(folder: string): FutureMark {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, FILE);
  const inheritedSeconds = readMark(file);
  let written = inheritedSeconds;
  return {
    inheritedSeconds,
    note(createdSeconds) {
      if (createdSeconds <= written) return;
      // Another process may share the folder: the mark only ever rises.
      written = Math.max(written, readMark(file));
      if (createdSeconds <= written) return;
      // Renaming is atomic: a crash leaves the old mark or the new one, never half of one.
      writeFileSync(`${file}.new`, `${createdSeconds}\n`);
      renameSync(`${file}.new`, file);
      written = createdSeconds;
    },
  };
}

function readMark(file: string): number {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
  if (!/^\d{1,12}$/.test(text)) throw new FutureMarkInvalid(file);
  return Number(text);
}
