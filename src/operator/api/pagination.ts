/** Lists by keyset: a page says where the next begins, in a cursor that only we read. */
import { type TSchema, Type } from 'typebox';
import type { Page, PageRequest } from '../../store/database.ts';
import { OperatorError } from '../errors.ts';

/** What a page holds at most, so that no answer and no query grows with the table. */
const LIMIT_MAX = 500;
const LIMIT_DEFAULT = 100;
/** A cursor holds one row's key: an id or an address, and a time. */
const CURSOR_LENGTH_MAX = 1_024;

/** Members of a list's query; spread them beside filters: `Type.Object({ ...pageQuery, agent: … }, { additionalProperties: false })`. */
export const pageQuery = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LIMIT_MAX,
      default: LIMIT_DEFAULT,
      title: `a whole number from 1 to ${LIMIT_MAX}`,
      description: 'How many items a page holds at most.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: CURSOR_LENGTH_MAX,
      pattern: '^[A-Za-z0-9_-]+$',
      title: 'the `next` of the page before',
      description: 'The `next` of the page before; left out for the first page.',
    }),
  ),
};

/** The query of a list without filters. */
export const PageQuery = Type.Object(pageQuery, { additionalProperties: false });

export function pageRequest(query: { readonly limit?: number; readonly cursor?: string }): PageRequest {
  return { limit: query.limit ?? LIMIT_DEFAULT, cursor: query.cursor ?? null };
}

/** The answer of a list. */
export function listOf<T extends TSchema>(item: T) {
  return Type.Object(
    {
      items: Type.Array(item),
      next: Type.Union([Type.String(), Type.Null()], {
        description: 'For `cursor` of the next request; null when this is the last page.',
      }),
    },
    { additionalProperties: false },
  );
}

/**
 * A page of a list that is in memory.
 * @param keyOf unique in the list, and what it is sorted by
 * @throws OperatorError request_invalid for a cursor that is not one of ours
 */
export function pageOf<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  { limit, cursor }: PageRequest,
): { items: T[]; next: string | null } {
  const after = cursor === null ? null : readCursor(cursor);
  const sorted = items
    .map((item) => ({ key: keyOf(item), item }))
    .filter(({ key }) => after === null || key > after)
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const page = sorted.slice(0, limit);
  const last = page.at(-1);
  const more = sorted.length > page.length && last !== undefined;
  return { items: page.map(({ item }) => item), next: more ? writeCursor(last.key) : null };
}

/**
 * A page of a list in memory from its end; a long one is not walked.
 * @param items sorted by their keys
 * @throws OperatorError request_invalid for a cursor that is not one of ours
 */
export function pageFromEnd<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  { limit, cursor }: PageRequest,
): Page<T> {
  const before = cursor === null ? null : readCursor(cursor);
  let [low, high] = [0, items.length];
  while (before !== null && low < high) {
    const middle = (low + high) >>> 1;
    if (keyOf(items[middle] as T) < before) low = middle + 1;
    else high = middle;
  }
  const end = before === null ? items.length : low;
  const page = items.slice(Math.max(0, end - limit), end).reverse();
  const last = page.at(-1);
  return { items: page, next: end > limit && last !== undefined ? writeCursor(keyOf(last)) : null };
}

function writeCursor(key: string): string {
  return Buffer.from(key, 'utf8').toString('base64url');
}

/** @throws OperatorError request_invalid */
function readCursor(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString('utf8');
  if (key === '' || writeCursor(key) !== cursor) throw cursorInvalid();
  return key;
}

/** For a cursor that the store does not know either. */
export function cursorInvalid(): OperatorError {
  return new OperatorError('request_invalid', {
    errors: [{ path: 'query/cursor', message: 'must be the `next` of the page before' }],
  });
}
