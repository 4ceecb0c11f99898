/**
 * The scope under `/v1`: what holds for every resource. In the order of a request: fields of the answer, the guard, what
 * is served nowhere, the body, its schema, the idempotency key; then the resource's own handler.
 */
import type { FastifyInstance, HTTPMethods, RouteOptions } from 'fastify';
import type { IdempotencyRows } from '../../store/database.ts';
import { type Guard, guardRoutes } from '../access/guard.ts';
import { OperatorError } from '../errors.ts';
import { answerBrowsers } from './cors.ts';
import { keepAnswers } from './idempotency.ts';
import { type DescribedRoute, type DocumentOptions, openApiRoutes } from './openapi.ts';
import type { OperatorApp } from './route.ts';
import { validateByTypeBox } from './validation.ts';

export const PREFIX = '/v1';
/** All that this API serves somewhere, and OPTIONS and HEAD; others are answered 404 by the server. */
const METHODS: HTTPMethods[] = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'];
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Longer than any path here. */
const SEGMENTS_MAX = 16;

export interface V1Options {
  readonly guard: Guard;
  /** Null where no store is open. */
  readonly idempotency: IdempotencyRows | null;
  readonly now: () => number;
  readonly document: DocumentOptions;
  /** Origins whose pages may ask from a browser; empty: none. */
  readonly corsOrigins: readonly string[];
}

interface ServedRoute {
  readonly segments: readonly string[];
  readonly methods: readonly string[];
}

function methodsOf<T>({ method }: { readonly method: T | T[] }): T[] {
  return Array.isArray(method) ? method : [method];
}

function fits(pattern: readonly string[], path: readonly string[]): boolean {
  return (
    pattern.length === path.length &&
    pattern.every((segment, index) => segment.startsWith(':') || segment === path[index])
  );
}

/** What a client generator needs of each route. @throws TypeError: without it the route would be missing there */
function describeRoute(route: RouteOptions): DescribedRoute[] {
  const { schema = {}, config } = route;
  const { operationId, summary, tags, response } = schema;
  if (operationId === undefined || summary === undefined || tags === undefined || response === undefined)
    throw new TypeError(
      `${String(route.method)} ${route.url} needs operationId, summary, tags and response in its schema`,
    );
  const { scope = 'any', faults = [] } = config ?? {};
  return methodsOf(route).map((method) => ({ method, url: route.url, schema, scope, faults }));
}

/** Everything not served under `/v1`: 405 with Allow where another method is, else 404. Behind the guard, like the rest. */
function refuseTheRest(app: FastifyInstance, served: readonly ServedRoute[]): void {
  app.route({
    method: METHODS,
    url: '/*',
    config: { scope: 'any' },
    schema: { hide: true },
    // Before the body is read: whatever it is, nobody takes it.
    onRequest: async (request, reply) => {
      const path = request.url.split('?', 1)[0]?.split('/', SEGMENTS_MAX) ?? [];
      const allowed = new Set(
        served.filter(({ segments }) => fits(segments, path)).flatMap(({ methods }) => methods),
      );
      // Its own method among them: the router did not take the path, as with an id longer than any of ours.
      if (allowed.size === 0 || allowed.has(request.method)) throw new OperatorError('resource_unknown');
      reply.header('allow', [...allowed].sort().join(', '));
      throw new OperatorError('method_not_allowed');
    },
    handler() {
      throw new TypeError('a route that refuses every request reached its handler');
    },
  });
}

/** Who changed what, in the log: a removal leaves no row that could say so. */
function logChanges(app: FastifyInstance): void {
  app.addHook('onResponse', async (request, reply) => {
    const { method, principal } = request;
    if (principal === null || reply.statusCode >= 300 || SAFE_METHODS.has(method)) return;
    const path = request.url.split('?', 1)[0];
    const fields = { reqId: request.id, by: principal.actor, method, path, status: reply.statusCode };
    request.log.info(fields, 'changed by an operator');
  });
}

/** Makes an instance, registered under `PREFIX`, what the resources expect of it; they then add their routes. */
export async function openV1(
  app: FastifyInstance,
  options: V1Options,
  addResources: (app: OperatorApp) => void,
): Promise<void> {
  const served: ServedRoute[] = [];
  const described: DescribedRoute[] = [];
  // Before the guard: a browser asks without a credential whether it may send one.
  if (options.corsOrigins.length > 0) await answerBrowsers(app, options.corsOrigins);
  guardRoutes(app, options.guard);
  app.addHook('onRoute', (route) => {
    if (route.schema?.hide === true) return;
    // HEAD comes with GET.
    if (route.method !== 'HEAD') described.push(...describeRoute(route));
    served.push({ segments: route.url.split('/'), methods: methodsOf(route) });
  });
  app.setValidatorCompiler(validateByTypeBox);
  // The types hold the handlers to their schemas; a serializer compiled from each would only make starting slower.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  // Only what a route says it reads.
  app.removeContentTypeParser('text/plain');
  logChanges(app);
  keepAnswers(app, options.idempotency, options.now);
  const resources: OperatorApp = app.withTypeProvider();
  openApiRoutes(resources, options.document, () => described);
  addResources(resources);
  refuseTheRest(app, served);
}
