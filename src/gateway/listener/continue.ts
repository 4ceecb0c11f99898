/**
 * `Expect: 100-continue` (RFC 9110 10.1.1): the caller holds its body back until it is told to go on. It is told once it
 * is identified, so that a caller who would be refused never sends a body at all.
 */
import type { RawRequest, RawResponse } from './target.ts';

const EXPECTING = Symbol('sage.expecting');
interface Expecting {
  [EXPECTING]?: boolean;
}

/** Marks a request whose caller waits for 100. */
export function markExpecting(req: RawRequest): void {
  (req as Expecting)[EXPECTING] = true;
}

/** Tells a waiting caller to go on, once; does nothing for every other request. */
export function sendContinue(req: RawRequest, res: RawResponse): void {
  const marked = req as Expecting;
  if (marked[EXPECTING] !== true) return;
  marked[EXPECTING] = false;
  if (!res.headersSent && !res.destroyed) res.writeContinue();
}
