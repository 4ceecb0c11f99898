/** Moments in bodies and queries: RFC 3339, with a zone, to the millisecond. */
import { Type } from 'typebox';
import { OperatorError } from '../errors.ts';

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;
const TITLE = 'a moment such as 2026-11-26T10:00:00Z (RFC 3339)';

export function instantSchema(description: string) {
  return Type.Refine(
    Type.String({ minLength: 20, maxLength: 40, format: 'date-time', title: TITLE, description }),
    (value) => typeof value !== 'string' || (RFC3339.test(value) && !Number.isNaN(Date.parse(value))),
    () => `must be ${TITLE}`,
  );
}

/** Milliseconds since the epoch; null for what was left out. */
export function readInstant(text: string | null | undefined): number | null {
  return text === undefined || text === null ? null : Date.parse(text);
}

/** The same for what has to lie ahead. @throws OperatorError request_invalid */
export function readFuture(text: string | null | undefined, path: string, nowMs: number): number | null {
  const ms = readInstant(text);
  if (ms !== null && ms <= nowMs)
    throw new OperatorError('request_invalid', { errors: [{ path, message: 'must lie in the future' }] });
  return ms;
}

export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

export function instantOrNull(ms: number | null): string | null {
  return ms === null ? null : instant(ms);
}

/** A moment in an answer. */
export const InstantView = Type.String({ format: 'date-time' });
