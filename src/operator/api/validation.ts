/**
 * Requests against the TypeBox schemas of their routes. Bodies are taken as they are: nothing is coerced, filled in or
 * removed, and what a schema does not name is refused. Queries and path members are text, so numbers and booleans are
 * read out of them and defaults are set.
 */
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { explainSchemaErrors } from '../../policy/schema-faults.ts';
import type { FaultView } from '../errors.ts';

/** More help nobody; TypeBox itself stops after eight. */
const FAULTS_MAX = 50;

/** What Fastify hands to the error handler as `validation`, which `problems.ts` reads. */
export class RequestInvalid extends Error {
  readonly statusCode = 400;
  readonly faults: readonly FaultView[];

  constructor(faults: readonly FaultView[]) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super('the request does not fit its schema');
    Error.stackTraceLimit = limit;
    this.name = 'RequestInvalid';
    this.faults = faults;
  }
}

/** RFC 6901. */
function pointer(path: readonly (string | number)[]): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

function faultsOf(schema: TSchema, value: unknown, part: string): FaultView[] {
  return explainSchemaErrors(schema, value, Value.Errors(schema, value))
    .slice(0, FAULTS_MAX)
    .map(({ path, message }) => ({
      // A body is named by pointer, the text of the target by the part it stands in.
      path: part === 'body' ? pointer(path) : `${part}${pointer(path)}`,
      message,
    }));
}

const PARTS: Readonly<Record<string, string>> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'header',
};

/** For `setValidatorCompiler`. Nothing is compiled: these routes are asked a few times a second, and start cheaply. */
export const validateByTypeBox: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const part = PARTS[httpPart ?? 'body'] ?? 'body';
  return (received: unknown) => {
    const value = part === 'body' ? received : Value.Default(schema, Value.Convert(schema, received));
    if (Value.Check(schema, value)) return { value };
    return { error: new RequestInvalid(faultsOf(schema, value, part)) };
  };
};
