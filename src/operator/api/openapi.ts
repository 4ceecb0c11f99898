/**
 * `GET /v1/openapi.json`: OpenAPI 3.1, from the schemas of the routes themselves. It is made when it is first asked for, by
 * `@fastify/swagger` on an instance of its own, so that a gateway that nobody asks starts no slower for it.
 */
import type { FastifySchema, HTTPMethods } from 'fastify';
import { Type } from 'typebox';
import type { Scope } from '../access/principal.ts';
import { kindOf, type OperatorErrorCode } from '../errors.ts';
import { ProblemSchema } from './problems.ts';
import type { OperatorApp } from './route.ts';

/** A route as it was registered. */
export interface DescribedRoute {
  readonly method: HTTPMethods;
  /** With the prefix, members of the path as `:name`. */
  readonly url: string;
  readonly schema: FastifySchema;
  readonly scope: Scope | 'any';
  readonly faults: readonly OperatorErrorCode[];
}

export interface DocumentOptions {
  readonly version: string;
  /** Under which the gateway is called now. */
  readonly origins: () => readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

const TAGS: Readonly<Record<string, string>> = {
  gateway: 'This node, and who is asking it.',
  agents: 'What is called: agents of `sage.yaml`, and those added here.',
  policy: 'What decides who may call what.',
  revocations: 'DIDs and keys that are denied whatever their documents say.',
  'api-keys': 'Keys of operators and their jobs.',
  decisions: 'What became of each request.',
  blocks: 'Source addresses that may not call for a while.',
  circuits: 'Instances that are given a rest because they failed.',
  stream: 'What happens, as it happens, over a WebSocket.',
};

/** Every route may refuse with these. */
const COMMON: readonly OperatorErrorCode[] = [
  'request_invalid',
  'operator_unauthenticated',
  'operator_forbidden',
  'operator_attempts_limited',
  'internal_error',
  'store_unavailable',
];
const OF_BODIES: readonly OperatorErrorCode[] = ['body_not_json', 'body_too_large', 'media_type_unsupported'];
const OF_POSTS: readonly OperatorErrorCode[] = ['idempotency_running', 'idempotency_key_reused'];

const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description:
      'OPERATOR_API_KEY, an API key (`sage_….…`), or a JWT of OIDC_ISSUER for OIDC_AUDIENCE whose role stands in OIDC_ROLE_CLAIM.',
  },
  signature: {
    type: 'apiKey',
    in: 'header',
    name: 'signature',
    description:
      'RFC 9421 HTTP Message Signatures, with Signature-Input and, where there is a body, Content-Digest; by a DID of `operators` in sage.yaml.',
  },
};

const IDEMPOTENCY_KEY = {
  name: 'idempotency-key',
  in: 'header',
  required: false,
  description: 'The first answer is given again for 24 hours, with `idempotency-replayed: true`.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
};

/** By status, which codes a route may refuse with. */
function refusals(route: DescribedRoute): Map<number, OperatorErrorCode[]> {
  const codes = new Set<OperatorErrorCode>([...COMMON, ...route.faults]);
  if (route.schema.params !== undefined) codes.add('resource_unknown');
  if (route.schema.body !== undefined) for (const code of OF_BODIES) codes.add(code);
  if (route.method === 'POST') for (const code of OF_POSTS) codes.add(code);
  return Map.groupBy(codes, (code) => kindOf(code).status);
}

function problemResponses(route: DescribedRoute): Json {
  const content = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  return Object.fromEntries(
    [...refusals(route)].map(([status, codes]) => [
      String(status),
      { description: codes.map((code) => `\`${code}\``).join(', '), content },
    ]),
  );
}

/** What the schemas do not say of an operation: what it refuses, what it asks for, what every POST takes. */
function complete(operation: Json, route: DescribedRoute): Json {
  const responses = { ...(operation.responses as Json), ...problemResponses(route) };
  const scopes = route.scope === 'any' ? [] : [route.scope];
  const needs = route.scope === 'any' ? 'Open to every role.' : `Needs the scope \`${route.scope}\`.`;
  const told = typeof operation.description === 'string' ? `${operation.description}\n\n` : '';
  const parameters = [...((operation.parameters as Json[] | undefined) ?? [])];
  if (route.method === 'POST') parameters.push(IDEMPOTENCY_KEY);
  return {
    ...operation,
    description: `${told}${needs}`,
    ...(parameters.length === 0 ? {} : { parameters }),
    responses,
    security: [{ bearer: scopes }, { signature: scopes }],
  };
}

function pathOf(url: string): string {
  return url.replaceAll(/:(\w+)/g, '{$1}');
}

/** @returns the document, without what depends on where the gateway is called */
async function describe(routes: readonly DescribedRoute[], version: string): Promise<Json> {
  const [{ default: fastify }, { default: swagger }] = await Promise.all([
    import('fastify'),
    import('@fastify/swagger'),
  ]);
  const shadow = fastify();
  shadow.setValidatorCompiler(() => () => true);
  shadow.setSerializerCompiler(() => () => '');
  await shadow.register(swagger, {
    convertConstToEnum: false,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sage Gateway, the operators’ API',
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
    },
  });
  for (const { method, url, schema } of routes)
    shadow.route({ method, url, schema, handler: () => Promise.reject(new TypeError('never called')) });
  await shadow.ready();
  // A plain copy: schemas carry marks of TypeBox that are no part of it.
  const document: Record<string, unknown> = JSON.parse(JSON.stringify(shadow.swagger()));
  await shadow.close();
  const paths = document.paths as Record<string, Record<string, Json>>;
  for (const route of routes) {
    const operations = paths[pathOf(route.url)];
    const method = String(route.method).toLowerCase();
    const operation = operations?.[method];
    if (operations === undefined || operation === undefined)
      throw new TypeError(`${method} ${route.url} is missing from the document`);
    operations[method] = complete(operation, route);
  }
  const used = new Set(routes.flatMap(({ schema }) => schema.tags ?? []));
  return {
    ...document,
    tags: [...used].map((name) => ({ name, description: TAGS[name] ?? name })),
    components: { schemas: { Problem: ProblemSchema }, securitySchemes: SECURITY_SCHEMES },
  };
}

/** @param routes all routes under `/v1`, once the server is ready */
export function openApiRoutes(
  app: OperatorApp,
  options: DocumentOptions,
  routes: () => readonly DescribedRoute[],
): void {
  let made: Promise<Json> | null = null;
  app.get(
    '/openapi.json',
    {
      config: { scope: 'any' },
      schema: {
        operationId: 'getOpenApi',
        summary: 'This document',
        tags: ['gateway'],
        response: { 200: Type.Object({}, { additionalProperties: true, description: 'OpenAPI 3.1' }) },
      },
    },
    async () => {
      made ??= describe(routes(), options.version);
      const servers = options.origins().map((url) => ({ url }));
      return { ...(await made), servers };
    },
  );
}
