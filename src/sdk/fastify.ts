/** `sage-gateway/sdk/fastify`: verifies callers of one's own Fastify server. */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Bytes } from '../trust/wire/bytes.ts';
import { SdkError } from './errors.ts';
import { type MiddlewareOptions, PROBLEM_TYPE, refusalOf } from './middleware.ts';
import { nodeIncoming } from './node-request.ts';
import { createInnerVerifier, type VerifiedCaller } from './verify.ts';

export type { MiddlewareOptions } from './middleware.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who called, as proven; null where `verifyCallers` is not registered. */
    caller: VerifiedCaller | null;
  }
}

type BodyStream = Parameters<import('fastify').preParsingHookHandler>[2];

/**
 * A plugin: every request of the instance it is registered on is proven before its body is parsed, and `request.caller`
 * says who called. What is not proven is answered with problem+json, and no handler sees it. Hooks of `onRequest`, such
 * as those of @fastify/cors, run before it.
 * @throws {SdkError} at registration, when options or keys cannot be used
 */
export const verifyCallers: FastifyPluginAsync<MiddlewareOptions> = async (app, options) => {
  const verifier = createInnerVerifier(options);
  await verifier.ready();
  app.decorateRequest('caller', null);
  app.addHook('preParsing', async (request: FastifyRequest, reply: FastifyReply, payload: BodyStream) => {
    try {
      const incoming = nodeIncoming(request.raw, request.originalUrl, false);
      const { caller, body } = await verifier.verifyIncoming(incoming);
      request.caller = caller;
      return body === null ? payload : streamOf(body);
    } catch (error) {
      const { status, body } = refusalOf(error, options);
      // What is left of the body is not worth reading.
      if (request.raw.httpVersionMajor < 2) reply.header('connection', 'close');
      return reply.code(status).header('cache-control', 'no-store').type(PROBLEM_TYPE).send(body);
    }
  });
};

// As `fastify-plugin` marks one: it is for the instance it is registered on, not for a scope of its own.
Object.assign(verifyCallers, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'sage-verify-callers',
});

interface Streams {
  readonly Readable: { from(chunks: readonly Uint8Array[], options: { objectMode: false }): BodyStream };
}

/** The proven bytes for Fastify's parsers. The runtime hands its streams out without an import. */
function streamOf(body: Bytes): BodyStream {
  const { process }: { process?: { getBuiltinModule?: (name: string) => unknown } } = globalThis;
  const streams = process?.getBuiltinModule?.('node:stream');
  if (!hasReadable(streams)) throw new SdkError('options_invalid', 'this runtime has no node:stream');
  const stream = streams.Readable.from([body], { objectMode: false });
  return Object.assign(stream, { receivedEncodedLength: body.length });
}

function hasReadable(value: unknown): value is Streams {
  return (typeof value === 'function' || typeof value === 'object') && value !== null && 'Readable' in value;
}
