/** Pages of listed origins may ask these routes from a browser (CORS, WHATWG Fetch section 3.2). */
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** How long a browser may remember the answer to its question; Chromium takes two hours at most. */
const MAX_AGE_S = 600;

/**
 * Credentials stay off: what opens these routes is a field that a page sends on purpose, never a cookie. An origin that is
 * not listed gets the answer any stranger gets, without a word about origins.
 */
export async function answerBrowsers(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  await app.register(cors, {
    delegator(request, answer) {
      const { origin, 'access-control-request-method': asked } = request.headers;
      const listed = origin !== undefined && origins.includes(origin);
      answer(null, {
        origin: listed ? origin : false,
        // OPTIONS that asks for nothing is a request like any other.
        preflight: asked !== undefined,
        credentials: false,
        methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
        allowedHeaders: [
          'authorization',
          'content-type',
          'content-digest',
          'idempotency-key',
          'if-match',
          'signature',
          'signature-input',
        ],
        exposedHeaders: ['etag', 'idempotency-replayed', 'location', 'retry-after', 'x-request-id'],
        maxAge: MAX_AGE_S,
      });
    },
  });
}
