/** What passes between the gateway's thread and the one that holds the file. */
import type { Result, Statement } from '../executor.ts';
import type { Fault } from '../faults.ts';

/** `workerData` of the thread. */
export interface ThreadSettings {
  readonly file: string;
  /** How long a lock of another process is waited for. */
  readonly busyMs: number;
  /** At the gateway's start: makes the file and migrates it. Later a file that is gone stays gone. */
  readonly first: boolean;
  readonly nowMs: number;
}

export interface Call {
  readonly id: number;
  readonly write: boolean;
  readonly statements: readonly Statement[];
}

export type Answer =
  | { readonly id: number; readonly results: readonly Result[] }
  | { readonly id: number; readonly fault: Fault };

export type ToThread = { readonly calls: readonly Call[] } | { readonly close: true };

export type FromThread =
  | { readonly opened: true; readonly migrated: readonly string[] }
  | { readonly failed: Fault }
  /** `last` answers end a batch: the thread takes the next one. */
  | { readonly answers: readonly Answer[]; readonly last: boolean };
