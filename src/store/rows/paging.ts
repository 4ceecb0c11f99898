/**
 * Keyset pagination: the cursor names the last row of a page by what it was ordered by, so that rows which come or go
 * meanwhile neither repeat nor hide others. Opaque to clients, who get it back unread; it grants nothing.
 */
import type { Page, PageRequest } from '../database.ts';
import { CursorInvalid } from '../errors.ts';
import type { Row, Value } from '../executor.ts';

const PAGE_ROWS_MAX = 500;
/** A cursor holds a time and an id. */
const CURSOR_CHARACTERS_MAX = 2_048;

const encode = (key: readonly Value[]): string =>
  Buffer.from(JSON.stringify(key), 'utf8').toString('base64url');

/** @throws {CursorInvalid} for what no page of this list has given */
export function readCursor(cursor: string | null, kinds: readonly ('number' | 'string')[]): Value[] | null {
  if (cursor === null) return null;
  if (cursor.length > CURSOR_CHARACTERS_MAX) throw new CursorInvalid();
  let key: unknown;
  try {
    key = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw new CursorInvalid();
    throw error;
  }
  if (!Array.isArray(key) || key.length !== kinds.length) throw new CursorInvalid();
  return key.map((part: unknown, at) => {
    if (kinds[at] === 'number' && Number.isSafeInteger(part)) return Number(part);
    if (kinds[at] === 'string' && typeof part === 'string') return part;
    throw new CursorInvalid();
  });
}

/** @throws {RangeError} when the caller let a limit through that is not 1 to 500 */
export function checkLimit({ limit }: PageRequest): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= PAGE_ROWS_MAX) return limit;
  throw new RangeError(`a page has 1 to ${PAGE_ROWS_MAX} rows, not ${limit}`);
}

/** Makes the page from one row more than it holds. */
export function pageOf<T>(
  rows: readonly Row[],
  limit: number,
  read: (row: Row) => T,
  keyOf: (item: T) => readonly Value[],
): Page<T> {
  const items = rows.slice(0, limit).map(read);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last !== undefined ? encode(keyOf(last)) : null };
}

/** Newest first by `created_at_ms`, then by id. */
export async function listByTime<T extends { readonly id: string; readonly createdAtMs: number }>(
  select: string,
  page: PageRequest,
  run: (sql: string, values: readonly Value[]) => Promise<readonly Row[]>,
  read: (row: Row) => T,
): Promise<Page<T>> {
  const limit = checkLimit(page);
  const after = readCursor(page.cursor, ['number', 'string']);
  const order = 'order by created_at_ms desc, id desc limit $1';
  const rows =
    after === null
      ? await run(`${select} ${order}`, [limit + 1])
      : await run(`${select} where (created_at_ms, id) < ($2, $3) ${order}`, [limit + 1, ...after]);
  return pageOf(rows, limit, read, ({ createdAtMs, id }) => [createdAtMs, id]);
}
