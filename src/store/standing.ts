/** Whether the database answers and takes writes, as the last calls found it; each change is one line of the log. */
import type { DatabaseStatus } from './database.ts';
import { faultIn } from './faults.ts';

export interface StoreLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

type State = Pick<DatabaseStatus, 'connected' | 'writable' | 'lastError' | 'latencyMs' | 'checkedAtMs'>;

export interface Standing {
  state(): State;
  /** A probe came back, after `latencyMs`, at `atMs` since the epoch. */
  answered(latencyMs: number, atMs: number): void;
  /** A write succeeded. */
  wrote(): void;
  failed(error: unknown): void;
  lost(why: string): void;
}

export function createStanding(database: string, log: StoreLog): Standing {
  let state: State = { connected: true, writable: true, lastError: '', latencyMs: 0, checkedAtMs: 0 };

  function update(next: Partial<State>): void {
    const before = state;
    state = { ...before, ...next };
    const fields = { database };
    const fault = { database, fault: state.lastError };
    if (before.connected && !state.connected) log.error(fault, 'database lost');
    if (!before.connected && state.connected) log.info(fields, 'database answers again');
    if (before.writable && !state.writable) log.error(fault, 'database takes no writes');
    if (!before.writable && state.writable) log.info(fields, 'database takes writes again');
  }

  return {
    state: () => state,
    answered: (latencyMs, checkedAtMs) => update({ connected: true, latencyMs, checkedAtMs }),
    wrote() {
      if (!state.connected || !state.writable) update({ connected: true, writable: true });
    },
    failed(error) {
      const lastError = error instanceof Error ? error.message : String(error);
      const kind = faultIn(error)?.kind;
      if (kind === 'unavailable') update({ connected: false, lastError });
      else if (kind === 'read_only' || kind === 'full') update({ writable: false, lastError });
      else if (kind === 'busy') update({ lastError });
    },
    lost: (lastError) => update({ connected: false, lastError }),
  };
}
