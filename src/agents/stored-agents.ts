/**
 * Agents from two sources: `sage.yaml`, and what operators added by the API. The file wins: whoever reviews it reads
 * what is served. Rows come from a database that other releases, and people, may write; one that cannot be used is left
 * out and told of, and the others are served.
 */

import { Value } from 'typebox/value';
import type { AgentRow } from '../store/database.ts';
import { type AgentEntry, AgentSchema, checkAgent, toAgent } from './entry.ts';
import type { AgentDefinition } from './registry.ts';

/** Agents of one gateway, whatever their source: far above what one serves; a generated list that went wrong stops here. */
export const AGENTS_MAX = 1_000;

/** One row, and what became of it. */
export interface StoredAgent {
  readonly row: AgentRow;
  /** Null when the row cannot be used. */
  readonly definition: AgentDefinition | null;
  /** Why the row is not served, or empty. */
  readonly fault: string;
  /** An agent of `sage.yaml` has the same id. */
  readonly shadowed: boolean;
}

export interface MergedAgents {
  /** What is served: those of the file first. */
  readonly definitions: readonly AgentDefinition[];
  readonly stored: readonly StoredAgent[];
}

/** What this room cannot judge: why a DID pattern of `allow` cannot be used, or null. */
export type PatternFault = (pattern: string) => string | null;

export type ReadAgent =
  | { readonly ok: true; readonly entry: AgentEntry; readonly definition: AgentDefinition }
  | { readonly ok: false; readonly entry: AgentEntry | null; readonly faults: readonly AgentFault[] };

export interface AgentFault {
  /** Keys and positions from the entry downwards. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Faults told of one entry: the rest is their echo. */
const FAULTS_MAX = 100;

/** Checks one entry; a value that the schema refuses has `entry: null`, and its faults are the schema's own words. */
export function readAgent(value: unknown, patternFault: PatternFault): ReadAgent {
  if (!Value.Check(AgentSchema, value)) {
    const faults = Value.Errors(AgentSchema, value).map(({ instancePath, message }) => ({
      path: instancePath.split('/').slice(1),
      message,
    }));
    return { ok: false, entry: null, faults: faults.slice(0, FAULTS_MAX) };
  }
  const faults: AgentFault[] = [];
  checkAgent(value, (path, message) => faults.push({ path, message }));
  (value.allow ?? []).forEach((pattern, at) => {
    const fault = patternFault(pattern);
    if (fault !== null) faults.push({ path: ['allow', at], message: fault });
  });
  if (faults.length > 0) return { ok: false, entry: value, faults: faults.slice(0, FAULTS_MAX) };
  return { ok: true, entry: value, definition: toAgent(value) };
}

/** Pure. Never throws for what a row holds. */
export function mergeAgents(
  file: readonly AgentDefinition[],
  rows: readonly AgentRow[],
  patternFault: PatternFault,
): MergedAgents {
  const ids = new Set(file.map(({ id }) => id));
  const definitions = [...file];
  const stored = rows.map((row): StoredAgent => {
    const read = readRow(row, patternFault);
    const shadowed = ids.has(row.id);
    if (typeof read === 'string') return { row, definition: null, fault: read, shadowed };
    if (shadowed) return { row, definition: read, fault: '', shadowed };
    if (definitions.length >= AGENTS_MAX)
      return { row, definition: null, fault: `there are more than ${AGENTS_MAX} agents`, shadowed };
    definitions.push(read);
    return { row, definition: read, fault: '', shadowed };
  });
  return { definitions, stored };
}

/** The definition, or why there is none. */
function readRow(row: AgentRow, patternFault: PatternFault): AgentDefinition | string {
  let value: unknown;
  try {
    value = JSON.parse(row.definition);
  } catch {
    return 'the row does not hold JSON';
  }
  const read = readAgent(value, patternFault);
  if (!read.ok) {
    const [first] = read.faults;
    return `${first?.path.join('.') || 'the entry'}: ${first?.message ?? 'cannot be used'}`;
  }
  return read.definition.id === row.id
    ? read.definition
    : `the entry is of another agent, ${read.definition.id}`;
}
