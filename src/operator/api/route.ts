/** What the files of the resources share: the type of the instance they add their routes to. */
import type { IncomingMessage, ServerResponse } from 'node:http';
// For the members of a route's schema that the OpenAPI document is made of: operationId, summary, tags.
import type {} from '@fastify/swagger';
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider, RawServerDefault } from 'fastify';
import type { Static, TSchema } from 'typebox';
import type { OperatorErrorCode } from '../errors.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What this route refuses besides what every route does; for the OpenAPI document. */
    faults?: readonly OperatorErrorCode[];
  }
}

/** Types of body, query, params and answer come from the route's schemas. */
interface FromTypeBox extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
}

/** The scope under `/v1`: guarded, validating, answering every fault with a problem document. Paths are relative to it. */
export type OperatorApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  FromTypeBox
>;
