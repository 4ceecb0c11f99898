/**
 * One header's value to the rules that match it.
 *
 * A field given twice reaches a rule as one value joined by commas, and a stranger may add a member to it. So an allow
 * rule needs every member to match, a deny rule any one of them; and an allow rule needs the signature to cover the field, since
 * otherwise whoever relays the request could have written it. A pattern with a comma in it speaks about the whole value.
 */
import { type Bits, copyBits, mergeSparse, type SparseBits, sparse } from './bits.ts';
import type { Glob, Rule } from './rule.ts';

/** Members looked at: a value with more matches no allow rule and every deny rule that names the header. */
const MEMBERS_MAX = 32;

interface Target {
  readonly allow: SparseBits;
  readonly deny: SparseBits;
}

export interface HeaderIndex {
  readonly name: string;
  /** Rules that do not ask about this header. */
  readonly base: Bits;
  readonly exact: ReadonlyMap<string, Target>;
  readonly globs: readonly { readonly glob: Glob; readonly target: Target }[];
  /** Exact values and globs one after the other, for values with several members. */
  readonly all: readonly { readonly glob: Glob; readonly target: Target }[];
  readonly found: Bits;
}

/** The parts of a request that header rules ask about. */
export interface HeaderView {
  /** The value of a field by its lower-case name, several joined by `, `; undefined when absent. */
  header(name: string): string | undefined;
  /** Whether the signature covers that field. */
  covers(name: string): boolean;
}

export function buildHeaderIndex(name: string, rules: readonly Rule[], base: Bits): HeaderIndex {
  const byText = new Map<string, { glob: Glob; allow: number[]; deny: number[] }>();
  for (const [index, rule] of rules.entries()) {
    for (const glob of rule.headers?.find((header) => header.name === name)?.globs ?? []) {
      let entry = byText.get(glob.text);
      if (entry === undefined) {
        entry = { glob, allow: [], deny: [] };
        byText.set(glob.text, entry);
      }
      entry[rule.effect].push(index);
    }
  }
  const all = [...byText.values()].map(({ glob, allow, deny }) => ({
    glob,
    target: { allow: sparse(allow), deny: sparse(deny) },
  }));
  return {
    name,
    base,
    exact: new Map(
      all.filter(({ glob }) => glob.parts.length === 1).map(({ glob, target }) => [glob.text, target]),
    ),
    globs: all.filter(({ glob }) => glob.parts.length > 1),
    all,
    found: new Uint32Array(base.length),
  };
}

export function lookUpHeader(index: HeaderIndex, request: HeaderView): Bits {
  const { found, name } = index;
  copyBits(found, index.base);
  const value = request.header(name);
  if (value === undefined) return found;
  if (value.includes(',')) {
    mergeMembers(index, value, request.covers(name));
    return found;
  }
  const covered = request.covers(name);
  const exact = index.exact.get(value);
  if (exact !== undefined) merge(found, exact, covered);
  for (const { glob, target } of index.globs) if (matchesGlob(glob, value)) merge(found, target, covered);
  return found;
}

function merge(found: Bits, target: Target, covered: boolean): void {
  mergeSparse(found, target.deny);
  if (covered) mergeSparse(found, target.allow);
}

function mergeMembers(index: HeaderIndex, value: string, covered: boolean): void {
  const members = value.split(',', MEMBERS_MAX + 1).map((member) => member.trim());
  const tooMany = members.length > MEMBERS_MAX;
  for (const { glob, target } of index.all) {
    const whole = matchesGlob(glob, value);
    if (tooMany || whole || members.some((member) => matchesGlob(glob, member)))
      mergeSparse(index.found, target.deny);
    const everyone = glob.text.includes(',') ? whole : members.every((member) => matchesGlob(glob, member));
    if (covered && !tooMany && everyone) mergeSparse(index.found, target.allow);
  }
}

/** `*` is any run of characters. Each part is searched for once, from the left, so the cost is linear in the value. */
function matchesGlob(glob: Glob, value: string): boolean {
  const { parts } = glob;
  const first = parts[0] as string;
  if (parts.length === 1) return value === first;
  const last = parts[parts.length - 1] as string;
  if (value.length < first.length + last.length || !value.startsWith(first) || !value.endsWith(last))
    return false;
  let from = first.length;
  const limit = value.length - last.length;
  for (let i = 1; i < parts.length - 1; i++) {
    const part = parts[i] as string;
    const at = value.indexOf(part, from);
    if (at === -1 || at + part.length > limit) return false;
    from = at + part.length;
  }
  return true;
}
