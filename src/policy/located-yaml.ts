/**
 * YAML text to a checked value whose every part still knows its line and column, so that a fault can be
 * reported where it stands. Used for the policy file and for `sage.yaml`. Pure: text in, value or faults out.
 */
import type { Static, TSchema } from 'typebox';
import { Settings } from 'typebox/system';
import { Value } from 'typebox/value';
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
} from 'yaml';
import { type Complaint, explainSchemaErrors } from './schema-faults.ts';

/** 1 MiB: some ten thousand rules; parsing that much takes a second, and nobody reviews a larger file by eye. */
export const YAML_BYTES_MAX = 1024 * 1024;
/** Faults reported at once: a reader fixes the first dozens, the rest is usually their echo. */
const FAULTS_MAX = 100;
/** Schema errors collected before they are put into words; a union costs several for one fault. */
const SCHEMA_ERRORS_MAX = 2_000;

/** Keys and array indices from the root of the document. */
export type Path = readonly (string | number)[];

/** Lines and columns count from 1; a column is a UTF-16 code unit. */
interface Position {
  readonly line: number;
  readonly column: number;
}

/** Where the key or the value at a path stands; the nearest enclosing part when the path does not exist. */
export type Locate = (path: Path, part?: 'key' | 'value') => Position;

export interface Fault extends Position {
  /** For people: `rules[2].match.did`; empty for the document itself. */
  readonly path: string;
  readonly message: string;
}

type ReadResult<T> =
  | { readonly ok: true; readonly value: T; readonly locate: Locate }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/**
 * Parses and checks one YAML document. Refused as a whole, with all faults at once: syntax errors, duplicate keys,
 * keys that are not strings, several documents, explicit type tags, aliases (a few lines of them expand to
 * gigabytes; name a set instead), more than `YAML_BYTES_MAX` bytes, and whatever the schema does not allow.
 */
export function readYaml<S extends TSchema>(text: string, schema: S): ReadResult<Static<S>> {
  const bytes = Buffer.byteLength(text);
  if (bytes > YAML_BYTES_MAX) {
    return refuse([
      { line: 1, column: 1, path: '', message: `the file has ${bytes} bytes, the most is ${YAML_BYTES_MAX}` },
    ]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    resolveKnownTags: false,
  });
  const syntax = syntaxFaults(document, lines);
  if (syntax.length > 0) return refuse(syntax);
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  const locate = locator(document, lines);
  const complaints = explainSchemaErrors(schema, value, schemaErrors(schema, value));
  if (complaints.length > 0) return refuse(complaints.map((complaint) => faultAt(locate, complaint)));
  return { ok: true, value: value as Static<S>, locate };
}

/** A complaint about a path, with the place where it stands. */
export function faultAt(locate: Locate, complaint: Complaint): Fault {
  const { line, column } = locate(complaint.path, complaint.part);
  const other = complaint.also && locate(complaint.also);
  const message = other
    ? `${complaint.message} (the other is at line ${other.line}, column ${other.column})`
    : complaint.message;
  return { line, column, path: formatPath(complaint.path), message };
}

/** One line a fault, as compilers print them: `policy.yaml:12:5: rules[1].effect: …`. */
export function formatFaults(file: string, faults: readonly Fault[]): string {
  return boundFaults(faults)
    .map((fault) => {
      const where = fault.path === '' ? '' : `${fault.path}: `;
      // Messages quote the file; what it holds must not move a terminal's cursor or forge a line.
      return `${file}:${fault.line}:${fault.column}: ${where}${fault.message}`.replaceAll(
        /\p{Cc}/gu,
        '\uFFFD',
      );
    })
    .join('\n');
}

/** In the order of the file, at most `FAULTS_MAX`, the last one telling how many were left out. */
export function boundFaults(faults: readonly Fault[]): readonly Fault[] {
  const sorted = faults.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const last = sorted[FAULTS_MAX - 1];
  if (sorted.length <= FAULTS_MAX || last === undefined) return sorted;
  const rest = `and ${sorted.length - FAULTS_MAX + 1} more faults`;
  return [...sorted.slice(0, FAULTS_MAX - 1), { ...last, path: '', message: rest }];
}

function refuse(faults: readonly Fault[]): { ok: false; faults: readonly Fault[] } {
  return { ok: false, faults: boundFaults(faults) };
}

/** TypeBox stops after 8 errors unless told otherwise, and can only be told globally: put back at once. */
function schemaErrors(schema: TSchema, value: unknown) {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: SCHEMA_ERRORS_MAX });
  try {
    return Value.Errors(schema, value);
  } finally {
    Settings.Set({ maxErrors });
  }
}

function syntaxFaults(document: Document.Parsed, lines: LineCounter): Fault[] {
  const faults: Fault[] = [];
  const add = (offset: number, message: string) => {
    const { line, col } = lines.linePos(offset);
    faults.push({ line: Math.max(line, 1), column: Math.max(col, 1), path: '', message });
  };
  for (const error of [...document.errors, ...document.warnings]) add(error.pos[0], syntaxMessage(error));
  // A parser that gave up for depth left a tree not worth walking.
  if (document.errors.some((error) => error.code === 'RESOURCE_EXHAUSTION')) return faults.slice(0, 1);
  visit(document, {
    Node(_key, node) {
      const offset = node.range?.[0] ?? 0;
      if (isAlias(node))
        add(offset, `aliases (\`*${node.source}\`) are not supported; repeat the value or name a set`);
    },
  });
  if (document.contents === null && faults.length === 0) add(0, 'the file is empty');
  return faults;
}

function syntaxMessage(error: { code: string; message: string }): string {
  switch (error.code) {
    case 'DUPLICATE_KEY':
      return 'this key is given twice';
    case 'NON_STRING_KEY':
      return 'keys must be plain strings';
    case 'MULTIPLE_DOCS':
      return 'the file holds several documents (`---`); one is expected';
    case 'RESOURCE_EXHAUSTION':
      return 'nested too deeply';
    case 'TAG_RESOLVE_FAILED':
      return `type tags are not supported (${error.message})`;
    default:
      return `not valid YAML: ${error.message}`;
  }
}

function locator(document: Document.Parsed, lines: LineCounter): Locate {
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  return (path, part = 'value') => {
    let node: unknown = document.contents;
    let offset = document.contents?.range?.[0] ?? 0;
    for (const [depth, key] of path.entries()) {
      const step = stepInto(node, key);
      if (step === null) break;
      const wanted = part === 'key' && depth === path.length - 1 ? step.key : step.value;
      // A value that is not even written (`{ did }`) has no place of its own; its key has one.
      offset = rangeStart(wanted) ?? rangeStart(step.key) ?? offset;
      node = step.value;
    }
    return at(offset);
  };
}

function stepInto(node: unknown, key: string | number): { key: unknown; value: unknown } | null {
  if (isMap(node)) {
    const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key);
    return pair === undefined ? null : { key: pair.key, value: pair.value };
  }
  if (isSeq(node) && typeof key === 'number' && key < node.items.length) {
    return { key: node.items[key], value: node.items[key] };
  }
  return null;
}

function rangeStart(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function formatPath(path: Path): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += text === '' ? key : `.${key}`;
  }
  return text;
}
