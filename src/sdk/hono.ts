/** `sage-gateway/sdk/hono`: verifies callers of one's own Hono server, on whatever runtime it is. */
import type { MiddlewareHandler } from 'hono';
import { type MiddlewareOptions, PROBLEM_TYPE, refusalOf } from './middleware.ts';
import { createVerifier, type VerifiedCaller } from './verify.ts';

export type { MiddlewareOptions } from './middleware.ts';

/** What `c.get('caller')` is typed by: `new Hono<CallerEnv>()`. */
export interface CallerEnv {
  Variables: { caller: VerifiedCaller };
}

/**
 * Middleware: a request is proven before the next handler, and `c.get('caller')` says who called. Handlers read the
 * body as ever, from the proven bytes. What is not proven is answered with problem+json.
 * @throws {SdkError} options_invalid; other faults of the configuration reach `app.onError`
 */
export function verifyCallers(options: MiddlewareOptions): MiddlewareHandler<CallerEnv> {
  const verifier = createVerifier(options);
  return async (c, next) => {
    try {
      const { caller, body } = await verifier.verify(c.req.raw);
      c.set('caller', caller);
      // The stream has been read; handlers get what was proven.
      if (body !== null) c.req.raw = new Request(c.req.raw, { method: c.req.method, body });
    } catch (error) {
      const { status, body } = refusalOf(error, options);
      const headers = { 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store' };
      return new Response(body, { status, headers });
    }
    await next();
    return undefined;
  };
}
