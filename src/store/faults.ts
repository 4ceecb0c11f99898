/** Failures as plain data, so that they cross from the writer's thread, and the coded errors they become. */
import {
  RowChanged,
  RowExists,
  RowMissing,
  StoreBusy,
  StoreFull,
  StoreReadOnly,
  StoreSchemaUnknown,
  StoreUnavailable,
} from './errors.ts';

const ERRORS = {
  unavailable: StoreUnavailable,
  read_only: StoreReadOnly,
  full: StoreFull,
  busy: StoreBusy,
  schema: StoreSchemaUnknown,
  exists: RowExists,
  missing: RowMissing,
  changed: RowChanged,
} as const;

export interface Fault {
  readonly kind: keyof typeof ERRORS;
  /** What the error's message is completed with: never a password, a key or a row's contents. */
  readonly text: string;
}

/** What a statement fails with when it touches no row, or one that is there already. */
export type RowFault = Fault & { readonly kind: 'exists' | 'missing' | 'changed' };

const faults = new WeakMap<Error, Fault>();

export function faultError(fault: Fault): Error {
  const error = new ERRORS[fault.kind](fault.text);
  faults.set(error, fault);
  return error;
}

/** Of an error that `faultError` made; null for any other. */
export function faultIn(error: unknown): Fault | null {
  return error instanceof Error ? (faults.get(error) ?? null) : null;
}
