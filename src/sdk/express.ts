/** `sage-gateway/sdk/express`: verifies callers of one's own Express server, or of any that calls `(req, res, next)`. */
import { type MiddlewareOptions, PROBLEM_TYPE, refusalOf } from './middleware.ts';
import { type NodeRequest, nodeIncoming } from './node-request.ts';
import { createInnerVerifier, type VerifiedCaller } from './verify.ts';

export type { MiddlewareOptions } from './middleware.ts';

declare global {
  // Where Express's types look for what middleware add to a request.
  namespace Express {
    interface Request {
      /** Who called, as proven by `verifyCallers`. */
      caller?: VerifiedCaller;
    }
  }
}

interface ExpressRequest extends NodeRequest {
  /** As on the request line, wherever the router stands. */
  readonly originalUrl?: string;
  caller?: VerifiedCaller;
}

interface ExpressResponse {
  writeHead(status: number, headers: Readonly<Record<string, string>>): { end(body: string): unknown };
}

/**
 * Middleware: a request is proven before the next handler, and `req.caller` says who called. It stands before
 * `express.json()` and every other body parser, which then read the proven bytes. What is not proven is answered with
 * problem+json.
 * @throws {SdkError} options_invalid; a key that cannot be used goes to `next` with each request that names it
 */
export function verifyCallers(
  options: MiddlewareOptions,
): (req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void) => void {
  const verifier = createInnerVerifier(options);
  return (req, res, next) => {
    const incoming = nodeIncoming(req, req.originalUrl ?? req.url ?? '', true);
    verifier
      .verifyIncoming(incoming)
      .then(
        ({ caller }) => {
          req.caller = caller;
          return () => next();
        },
        (error: unknown) => {
          const { status, body } = refusalOf(error, options);
          return () => {
            // What is left of the body is not worth reading.
            const headers = {
              'content-type': PROBLEM_TYPE,
              'cache-control': 'no-store',
              connection: 'close',
            };
            res.writeHead(status, headers).end(body);
          };
        },
      )
      .then(
        (goOn) => goOn(),
        (error: unknown) => next(error),
      );
  };
}
