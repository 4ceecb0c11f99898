/** A policy's value to what decides. Pure; 1,000 rules take a few milliseconds. */
import { createHash } from 'node:crypto';
import { type Bits, setBit } from './bits.ts';
import { makeVerdicts, type Verdicts } from './decide.ts';
import type { PolicyValue } from './language.ts';
import { boundFaults, type Fault, faultAt, type Locate, type Path } from './located-yaml.ts';
import { type PolicyLimits, type PolicyThreats, resolvePolicy } from './resolve.ts';
import { byPrecedence, type Rule } from './rule.ts';
import { buildIndex, type RuleIndex } from './rule-index.ts';
import type { Complaint } from './schema-faults.ts';

/** Hex digits of a revision: 64 bits, plenty to tell one's own revisions apart. */
const REVISION_DIGITS = 16;

export interface CompiledPolicy {
  /** SHA-256 of the canonical JSON of the whole file (RFC 8785), first 16 hex digits. */
  readonly revision: string;
  readonly name: string;
  readonly rules: number;
  readonly limits: PolicyLimits;
  readonly threats: PolicyThreats;
  /** Whether any rule asks for the region of an address. */
  readonly usesRegion: boolean;
  /** Whether any rule depends on the time. */
  readonly usesTime: boolean;
  /** The rules in precedence order: bit *i* of the index is `ordered[i]`. */
  readonly ordered: readonly Rule[];
  readonly index: RuleIndex;
  readonly verdicts: Verdicts;
  /** Shadow rules, or null when there are none. */
  readonly shadowBits: Bits | null;
}

export interface CompileOptions {
  /** From `readYaml`; faults stand at line 0 without it. */
  readonly locate?: Locate;
  /** Where the policy stands in the document, when it is inline: `['policy']`. */
  readonly at?: Path;
  /** Whether there is a region database. Without one every region is unknown, so rules that ask for it are refused. */
  readonly regions: boolean;
}

export type CompileResult =
  | { readonly ok: true; readonly policy: CompiledPolicy }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** `value` has passed the schema `PolicySet`. */
export function compilePolicy(value: PolicyValue, options: CompileOptions): CompileResult {
  const complaints: Complaint[] = [];
  const { rules, limits, threats } = resolvePolicy(value, complaints);
  const usesRegion = rules.some((rule) => rule.region !== null);
  if (usesRegion && !options.regions) complaints.push(regionsMissing(value));
  if (complaints.length > 0) return { ok: false, faults: locateAll(complaints, options) };
  const policy = assemble({
    rules,
    limits,
    threats,
    defaultEffect: value.defaults?.effect ?? 'deny',
    name: value.metadata?.name ?? '',
    revision: revisionOf(value),
  });
  return { ok: true, policy };
}

export function locateAll(complaints: readonly Complaint[], options: CompileOptions): readonly Fault[] {
  const { locate = () => ({ line: 0, column: 0 }), at = [] } = options;
  const faults = complaints.map((complaint) =>
    faultAt(locate, {
      ...complaint,
      path: [...at, ...complaint.path],
      ...(complaint.also === undefined ? {} : { also: [...at, ...complaint.also] }),
    }),
  );
  return boundFaults(faults);
}

interface Parts {
  readonly rules: readonly Rule[];
  readonly limits: PolicyLimits;
  readonly threats: PolicyThreats;
  readonly defaultEffect: 'allow' | 'deny';
  readonly name: string;
  readonly revision: string;
}

/** From resolved rules to a policy. */
export function assemble(parts: Parts): CompiledPolicy {
  const ordered = byPrecedence(parts.rules);
  const index = buildIndex(ordered);
  return {
    revision: parts.revision,
    name: parts.name,
    rules: ordered.length,
    limits: parts.limits,
    threats: parts.threats,
    usesRegion: index.regions !== null,
    usesTime: index.windows !== null,
    ordered,
    index,
    verdicts: makeVerdicts(ordered, parts.defaultEffect),
    shadowBits: shadowBitsOf(ordered, index.words),
  };
}

/** SHA-256 over RFC 8785: keys sorted by UTF-16 code units, numbers and strings as ECMAScript writes them. */
export function revisionOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, REVISION_DIGITS);
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    // The default order of `sort` is that of UTF-16 code units, which section 3.2.3 asks for.
    const record = value as Record<string, unknown>;
    let text = '';
    for (const key of Object.keys(record).sort()) {
      if (record[key] === undefined) continue;
      text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(record[key])}`;
    }
    return `{${text}}`;
  }
  return JSON.stringify(value);
}

function regionsMissing(value: PolicyValue): Complaint {
  const message = 'regions are asked for, but no region database is configured';
  if (value.allowed_regions !== undefined) return { path: ['allowed_regions'], part: 'key', message };
  const index = (value.rules ?? []).findIndex((rule) => rule.match?.region !== undefined);
  return { path: ['rules', index, 'match', 'region'], part: 'key', message };
}

function shadowBitsOf(ordered: readonly Rule[], words: number): Bits | null {
  if (!ordered.some((rule) => rule.shadow)) return null;
  const bits = new Uint32Array(words);
  for (const [index, rule] of ordered.entries()) if (rule.shadow) setBit(bits, index);
  return bits;
}
