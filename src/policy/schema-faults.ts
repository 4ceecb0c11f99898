/**
 * A schema validator's errors, put into words an operator can act on. TypeBox reports a union once for every branch and
 * an unknown key twice; here each mistake is told once, with the nearest name that would have been right.
 */
import type { TSchema } from 'typebox';
import type { TLocalizedValidationError } from 'typebox/error';

export interface Complaint {
  readonly path: readonly (string | number)[];
  /** Whether the key or the value is to blame. */
  readonly part?: 'key' | 'value';
  readonly message: string;
  /** A second place that takes part in the mistake. */
  readonly also?: readonly (string | number)[];
}

/** Values longer than this are cut in messages: a fault is a line, not a page. */
const SHOWN_VALUE_MAX = 60;
/** A suggestion further away than this many edits is a guess, not a help. */
const SUGGESTION_EDITS_MAX = 2;
/** Distance is quadratic in length; nobody mistypes a longer word into a known one. */
const SUGGESTION_LENGTH_MAX = 40;

type Schema = Readonly<Record<string, unknown>>;

/** `errors` as `Value.Errors(schema, value)` gave them. */
export function explainSchemaErrors(
  schema: TSchema,
  value: unknown,
  errors: readonly TLocalizedValidationError[],
): Complaint[] {
  const told = errors.filter(
    (error) => !(error.keyword === 'boolean' && error.schemaPath.endsWith('/additionalProperties')),
  );
  const complaints = settleUnions(told).flatMap((error) =>
    explain(schema as unknown as Schema, value, error),
  );
  // Whatever is not understood here is still a value that the schema refused.
  return complaints.length === 0 && errors.length > 0
    ? [{ path: [], message: 'does not fit its schema' }]
    : complaints;
}

/**
 * Keeps, of every failed union, the errors of the one branch whose type fitted (`did: [1]` is a list with a bad entry, not
 * "neither a string nor a list"), else the union's own error alone.
 */
function settleUnions(errors: readonly TLocalizedValidationError[]): readonly TLocalizedValidationError[] {
  const union = errors
    .filter((error) => error.keyword === 'anyOf')
    .reduce<TLocalizedValidationError | null>(
      (top, error) => (top === null || error.schemaPath.length < top.schemaPath.length ? error : top),
      null,
    );
  if (union === null) return errors;
  const prefix = `${union.schemaPath}/anyOf/`;
  const inside: TLocalizedValidationError[] = [];
  const outside: TLocalizedValidationError[] = [];
  for (const error of errors) {
    if (error === union) continue;
    const below =
      error.instancePath === union.instancePath || error.instancePath.startsWith(`${union.instancePath}/`);
    if (error.schemaPath.startsWith(prefix) && below) inside.push(error);
    else outside.push(error);
  }
  const branches = Map.groupBy(inside, (error) => error.schemaPath.slice(prefix.length).split('/', 1)[0]);
  const fitting = [...branches.values()].find(
    (branch) => !branch.some((error) => contradictsType(error, union)),
  );
  return [...settleUnions(outside), ...(fitting === undefined ? [union] : settleUnions(fitting))];
}

function contradictsType(error: TLocalizedValidationError, union: TLocalizedValidationError): boolean {
  return error.instancePath === union.instancePath && ['type', 'const', 'enum'].includes(error.keyword);
}

function explain(schema: Schema, value: unknown, error: TLocalizedValidationError): Complaint[] {
  const path = pointerKeys(error.instancePath, value);
  const node = at(schema, pointerKeys(error.schemaPath.slice(1), schema)) as Schema;
  switch (error.keyword) {
    case 'additionalProperties':
      return error.params.additionalProperties.map((key) => ({
        path: [...path, key],
        part: 'key',
        message: unknownKey(key, node),
      }));
    case 'required':
      return error.params.requiredProperties.map((key) => ({ path, message: `\`${key}\` is missing` }));
    case '~refine':
      return [{ path, message: error.params.message }];
    default:
      return [{ path, message: `${requirement(node, error)}, not ${show(at(value, path))}` }];
  }
}

function unknownKey(key: string, node: Schema): string {
  const later = node['x-not-yet'];
  if (Array.isArray(later) && later.includes(key)) return `\`${key}\` is not supported yet`;
  const known = Object.keys((node.properties ?? {}) as Schema);
  return `unknown key \`${key}\`${suggest(key, known)}`;
}

/** What the value must be: the schema's own words (its `title`), else words for the keyword that failed. */
function requirement(node: Schema, error: TLocalizedValidationError): string {
  if (typeof node.title === 'string') return `must be ${node.title}`;
  if (Array.isArray(node.anyOf)) {
    return `must be ${[...new Set((node.anyOf as Schema[]).map(nameOf))].join(' or ')}`;
  }
  if ('const' in node || 'enum' in node || error.keyword === 'type') return `must be ${nameOf(node)}`;
  return error.message;
}

function nameOf(node: Schema): string {
  if ('const' in node) return `\`${String(node.const)}\``;
  if (Array.isArray(node.enum)) return node.enum.map((each) => `\`${String(each)}\``).join(' or ');
  if (typeof node.title === 'string') return node.title;
  switch (node.type) {
    case 'array':
      return 'a list';
    case 'object':
      return 'a mapping of keys to values';
    case 'integer':
      return 'a whole number';
    case 'boolean':
      return '`true` or `false`';
    default:
      return `a ${String(node.type)}`;
  }
}

function show(value: unknown): string {
  if (value === undefined || value === null) return 'empty';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = String(value as string | number | boolean);
  return `\`${text.length > SHOWN_VALUE_MAX ? `${text.slice(0, SHOWN_VALUE_MAX)}…` : text}\``;
}

/** `, did you mean …?` with the nearest of `known`, or nothing when none is near. */
export function suggest(word: string, known: readonly string[]): string {
  let best = '';
  let distance = SUGGESTION_EDITS_MAX + 1;
  for (const candidate of known) {
    const edits = editDistance(word, candidate);
    // Two edits turn any two-letter word into any other: the word must keep more than it loses.
    if (edits < distance && edits * 2 <= Math.max(word.length, candidate.length)) {
      best = candidate;
      distance = edits;
    }
  }
  return best === '' ? '' : `, did you mean \`${best}\`?`;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  if (a.length > SUGGESTION_LENGTH_MAX || b.length > SUGGESTION_LENGTH_MAX) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The keys of an RFC 6901 pointer; a number where the value at that depth is a list. */
function pointerKeys(pointer: string, root: unknown): (string | number)[] {
  const keys: (string | number)[] = [];
  let node = root;
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
    const key = Array.isArray(node) ? Number(name) : name;
    keys.push(key);
    node = at(node, [key]);
  }
  return keys;
}

function at(root: unknown, path: readonly (string | number)[]): unknown {
  let node = root;
  for (const key of path) {
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, key)) return undefined;
    node = (node as Record<string | number, unknown>)[key];
  }
  return node;
}
