/**
 * The scope under `/v1`: what holds for every resource. In the order of a request: fields of the answer, the guard, what
 * is served nowhere, the body, its schema, the idempotency key; then the resource's own handler.
 */
import type { FastifyInstance, HTTPMethods, RouteOptions } from 'fastify';
import type { IdempotencyRows } from '../../store/database.ts';
import { type Guard, guardRoutes } from '../access/guard.ts';
import { OperatorError } from '../errors.ts';
import { keepAnswers } from './idempotency.ts';
import type { OperatorApp } from './route.ts';
import { validateByTypeBox } from './validation.ts';

export const PREFIX = '/v1';
/** All that this API serves somewhere, and OPTIONS and HEAD; others are answered 404 by the server. */
const METHODS: HTTPMethods[] = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'];
/** Longer than any path here. */
const SEGMENTS_MAX = 16;

export interface V1Options {
  readonly guard: Guard;
  /** Null where no store is open. */
  readonly idempotency: IdempotencyRows | null;
  readonly now: () => number;
}

interface ServedRoute {
  readonly segments: readonly string[];
  readonly methods: readonly string[];
}

function methodsOf({ method }: RouteOptions): string[] {
  return Array.isArray(method) ? method : [method];
}

function fits(pattern: readonly string[], path: readonly string[]): boolean {
  return (
    pattern.length === path.length &&
    pattern.every((segment, index) => segment.startsWith(':') || segment === path[index])
  );
}

/** What a client generator needs of each route; a route without it would be missing from the document. */
function checkDescribed(route: RouteOptions): void {
  const { operationId, summary, tags, response } = route.schema ?? {};
  if (operationId === undefined || summary === undefined || tags === undefined || response === undefined)
    throw new TypeError(
      `${String(route.method)} ${route.url} needs operationId, summary, tags and response in its schema`,
    );
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
      if (allowed.size === 0) throw new OperatorError('resource_unknown');
      reply.header('allow', [...allowed].sort().join(', '));
      throw new OperatorError('method_not_allowed');
    },
    handler() {
      throw new TypeError('a route that refuses every request reached its handler');
    },
  });
}

/** Makes an instance, registered under `PREFIX`, what the resources expect of it; they then add their routes. */
export function openV1(
  app: FastifyInstance,
  options: V1Options,
  addResources: (app: OperatorApp) => void,
): void {
  const served: ServedRoute[] = [];
  guardRoutes(app, options.guard);
  app.addHook('onRoute', (route) => {
    if (route.schema?.hide === true) return;
    if (route.method !== 'HEAD') checkDescribed(route);
    served.push({ segments: route.url.split('/'), methods: methodsOf(route) });
  });
  app.setValidatorCompiler(validateByTypeBox);
  // The types hold the handlers to their schemas; a serializer compiled from each would only make starting slower.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  // Only what a route says it reads.
  app.removeContentTypeParser('text/plain');
  keepAnswers(app, options.idempotency, options.now);
  addResources(app.withTypeProvider());
  refuseTheRest(app, served);
}
