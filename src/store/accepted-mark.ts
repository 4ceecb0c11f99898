/**
 * The latest date of a signature that this process has accepted, kept on disk. Nonces in memory are gone after a restart,
 * and by its own clock the next process refuses only what was dated before its start. That is not all that was used:
 * callers' clocks may run ahead by the allowed skew, and the clock of this machine may have been set back meanwhile.
 * Written at most once for each second of those dates.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AcceptedMarkInvalid } from './errors.ts';

const FILE = 'accepted-until';

export interface AcceptedMark {
  /** Seconds since the epoch: signatures created up to here may have been accepted by an earlier process. */
  readonly inheritedSeconds: number;
  /** Must return before the signature is accepted. @throws when the mark cannot be written: then refuse. */
  note(createdSeconds: number): void;
}

/** @param folder DATA_DIR; made when it does not exist. @throws {AcceptedMarkInvalid} and what the file system says. */
export function openAcceptedMark(folder: string): AcceptedMark {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, FILE);
  const inheritedSeconds = readMark(file);
  let written = inheritedSeconds;
  let failed: { readonly upTo: number; readonly error: unknown } | null = null;
  const write = (createdSeconds: number): void => {
    // Another process may share the folder: the mark only ever rises.
    written = Math.max(written, readMark(file));
    if (createdSeconds <= written) return;
    // Renaming is atomic: a crash leaves the old mark or the new one, never half of one.
    writeFileSync(`${file}.new`, `${createdSeconds}\n`);
    renameSync(`${file}.new`, file);
    written = createdSeconds;
  };
  return {
    inheritedSeconds,
    note(createdSeconds) {
      if (createdSeconds <= written) return;
      // A disk that is full is not asked anew for each of the requests of one second.
      if (failed !== null && createdSeconds <= failed.upTo) throw failed.error;
      try {
        write(createdSeconds);
        failed = null;
      } catch (error) {
        failed = { upTo: createdSeconds, error };
        throw error;
      }
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
  if (!/^\d{1,12}$/.test(text)) throw new AcceptedMarkInvalid(file);
  return Number(text);
}
