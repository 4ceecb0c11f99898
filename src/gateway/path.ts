/**
 * The path of a request, in its order: admit, identify, decide (`authorise.ts`), route and deliver (`proxy/`), record.
 * One hook calls the plain functions that the plugins decorate the server with: see docs/adr/0002.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import fp from 'fastify-plugin';
import { authorise, noteFailure, type PathTools } from './authorise.ts';
import { sendContinue } from './listener/continue.ts';
import { type Answer, asRefusal, exchangeOf, openPassage, type PathOptions } from './open-passage.ts';
import type { Passage } from './passage.ts';
import { serveWebSockets } from './path-websocket.ts';
import type { Refused } from './refusal.ts';

const ROUTE = '/agents/*';
/** What agents are called with, besides GET, with which WebSockets come; other methods are answered 404. */
const METHODS: HTTPMethods[] = ['DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'];

/** Ends what the passage holds, once its exchange is over. */
function settle(passage: Passage, tools: PathTools, refusal: Refused | null): void {
  if (passage.body !== null) tools.identity.release(passage.body.length);
  // Once: a failure on the way to the caller may lead here again.
  passage.body = null;
  if (refusal === null) passage.finish();
  else passage.refuse(refusal);
}

async function walk(
  passage: Passage,
  app: FastifyInstance,
  options: PathOptions,
  tools: PathTools,
): Promise<void> {
  try {
    await authorise(passage, tools);
    // Refused while it was being checked, by a revocation: the answer has been given.
    if (passage.over) settle(passage, tools, null);
    else
      app.deliver(exchangeOf(passage, app, options), (_exchange, refusal) => {
        // A streamed body's digest is known only now.
        if (refusal !== null) noteFailure(passage, tools, refusal);
        settle(passage, tools, refusal);
      });
  } catch (error) {
    settle(passage, tools, asRefusal(error, app, passage.record.requestId));
  } finally {
    tools.exchanges.delete(passage);
  }
}

/** Registers `/agents/**` for every method, and WebSockets. */
export const pathPlugin = fp<PathOptions>(
  async (app, options) => {
    const tools: PathTools = {
      admission: app.admission,
      identity: app.identity,
      agents: app.agents,
      exchanges: app.exchanges,
      policy: options.policy,
      regionOf: options.regionOf,
      sendContinue: (passage) => sendContinue(passage.req, passage.res),
      now: options.now,
    };
    const answer: Answer = (passage, refused) => app.refuse(passage.res, refused, passage.record.requestId);
    const http = (request: FastifyRequest, reply: FastifyReply): void => {
      // Before the reply is hijacked: what is thrown here Fastify still answers.
      const passage = openPassage(request, reply.raw, options, false, answer);
      reply.hijack();
      void walk(passage, app, options, tools);
    };
    app.route({
      method: METHODS,
      url: ROUTE,
      onRequest(request, reply) {
        http(request, reply);
      },
      handler() {
        throw new Error('a hijacked request reached its handler');
      },
    });
    serveWebSockets({ app, options, tools, answer }, ROUTE, http);
  },
  {
    name: 'sage-path',
    fastify: '5.x',
    dependencies: [
      'sage-listener',
      'sage-admission',
      'sage-identity',
      'sage-routing',
      'sage-breaker',
      'sage-proxy',
      '@fastify/websocket',
    ],
  },
);
