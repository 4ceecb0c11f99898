/** Reads columns: what comes from a database is checked like any other input. */
import type { Row } from '../executor.ts';

export function text(row: Row, name: string): string {
  const value = row[name];
  if (typeof value !== 'string') throw new TypeError(`column ${name} is not text`);
  return value;
}

export function integer(row: Row, name: string): number {
  const value = row[name];
  if (typeof value !== 'number') throw new TypeError(`column ${name} is not a number`);
  return value;
}

export const textOrNull = (row: Row, name: string): string | null =>
  row[name] === null ? null : text(row, name);

export const integerOrNull = (row: Row, name: string): number | null =>
  row[name] === null ? null : integer(row, name);

/** For statements that answer exactly one row. */
export function only(rows: readonly Row[] | undefined): Row {
  const row = rows?.[0];
  if (row === undefined) throw new TypeError('a statement that answers a row answered none');
  return row;
}
