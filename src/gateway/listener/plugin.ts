/** What every route shares: errors as problem documents, and the drain. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type RefusalKind, Refused } from '../refusal.ts';
import type { Tracker } from './connections.ts';
import { createDrain, type Drain, SILENT_GRACE_MS } from './drain.ts';
import { listenerRefusals as kinds } from './errors.ts';
import { problemBody, problemHeaders, sendRefusal } from './problem.ts';
import type { RawResponse } from './target.ts';

declare module 'fastify' {
  interface FastifyInstance {
    drain: Drain;
    /** Sends a refusal on a raw response, hijacked ones included; cuts the exchange when its head has left already. */
    refuse: (res: RawResponse, refused: Refused, requestId: string) => void;
  }
}

export interface ListenerPluginOptions {
  readonly explainRefusals: boolean;
  /**
   * How long the whole body (at most Fastify's `bodyLimit`) of a request that a route reads may take. The path of
   * `/agents` reads and bounds its own.
   */
  readonly bodyTimeoutMs: number;
}

/** Fastify's own faults, by status: its texts name internals, so ours are sent. */
function kindOfStatus(status: number | undefined): RefusalKind {
  switch (status) {
    case 404:
      return kinds.not_found;
    case 405:
      return kinds.method_not_allowed;
    case 408:
      return kinds.request_timeout;
    case 413:
      return kinds.body_too_large;
    case 415:
      return kinds.media_type_unsupported;
    default:
      return status !== undefined && status >= 400 && status < 500
        ? kinds.request_invalid
        : kinds.internal_error;
  }
}

function toRefused(error: unknown, request: FastifyRequest): Refused {
  if (error instanceof Refused) return error;
  const { statusCode, message, kind: own } = error as Partial<FastifyError> & { kind?: RefusalKind };
  // Rooms that may not import this one (the operator's) bring the kind of refusal along.
  if (own !== undefined) return new Refused(own);
  const kind = kindOfStatus(statusCode);
  if (kind.status < 500) return new Refused(kind, message === undefined ? {} : { explanation: message });
  // The stack goes to the log and nowhere else.
  request.log.error({ err: error, reqId: request.id }, 'a request failed');
  return new Refused(kind);
}

function send(reply: FastifyReply, refused: Refused, explain: boolean): void {
  const { request } = reply;
  if (reply.raw.headersSent) {
    reply.hijack();
    sendRefusal(reply.raw, refused, request.id, explain);
    return;
  }
  const headers = problemHeaders(refused, request.id);
  for (let i = 0; i < headers.length; i += 2) reply.header(headers[i] as string, headers[i + 1]);
  // As bytes, because Fastify adds a charset to the media type of a text, and problem+json has none (RFC 9457).
  reply
    .code(refused.kind.status)
    .send(Buffer.from(problemBody(refused.kind, request.id, explain ? refused : null)));
}

/** For faults that Fastify finds before a route is known, such as a path that cannot be decoded. */
export function frameworkError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
  explain: boolean,
): void {
  send(reply, toRefused(error, request), explain);
}

/** Answers 408 when a body is not whole in time; Fastify itself would wait for ever. */
function boundBody(request: FastifyRequest, reply: FastifyReply, timeoutMs: number, explain: boolean): void {
  const { raw } = request;
  const timer = setTimeout(() => {
    const refused = new Refused(kinds.request_timeout, { explanation: `no whole body in ${timeoutMs} ms` });
    // Fastify is still reading: from here on the answer is ours.
    reply.hijack();
    sendRefusal(reply.raw, refused, request.id, explain);
  }, timeoutMs);
  const stop = (): void => clearTimeout(timer);
  raw.once('end', stop);
  raw.once('close', stop);
}

function closeConnections(app: FastifyInstance): void {
  const tracker = app.connections as Tracker;
  app.drain.onDrain(() => tracker.beginDrain());
  let timer: NodeJS.Timeout | undefined;
  app.addHook('preClose', async () => {
    app.drain.begin();
    timer = setTimeout(() => tracker.closeSilent(), SILENT_GRACE_MS);
  });
  app.addHook('onClose', async () => clearTimeout(timer));
}

export const listenerPlugin = fp<ListenerPluginOptions>(
  async (app, options) => {
    const explain = options.explainRefusals;
    app.decorate('drain', createDrain(app.log));
    app.decorate('refuse', (res: RawResponse, refused: Refused, requestId: string) =>
      sendRefusal(res, refused, requestId, explain),
    );
    app.setErrorHandler((error, request, reply) => send(reply, toRefused(error, request), explain));
    app.setNotFoundHandler((_request, reply) => send(reply, new Refused(kinds.not_found), explain));
    // Runs for routes that let Fastify read the body; hijacked replies never come here.
    app.addHook('preParsing', async (request, reply, payload) => {
      if (!request.raw.complete) boundBody(request, reply, options.bodyTimeoutMs, explain);
      return payload;
    });
    closeConnections(app);
  },
  { name: 'sage-listener', fastify: '5.x', decorators: { fastify: ['connections'] } },
);
