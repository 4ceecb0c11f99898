import type { Failure } from './failure.ts';

/** Tries in all, whatever the configuration says: retries multiply an outage. */
const ATTEMPTS_MAX = 6;

/** Methods that may be repeated (RFC 9110, section 9.2.2), TRACE aside, which is never forwarded. */
function isIdempotent(method: string): boolean {
  return (
    method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'PUT' || method === 'DELETE'
  );
}

/**
 * Whether a request whose body can be sent again may be tried once more, before any of the response was passed on.
 * @param attempts made so far, those of undici included
 * @param retries what the agent's configuration allows beyond the first
 */
export function mayTryAgain(failure: Failure, method: string, attempts: number, retries: number): boolean {
  if (attempts >= Math.min(retries + 1, ATTEMPTS_MAX)) return false;
  return failure.unprocessed || (failure.transient && isIdempotent(method));
}
