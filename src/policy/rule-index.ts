/**
 * The bit-vector index: each dimension maps a request's value to the set of rules it satisfies; the first bit that
 * is set in all of them is the rule that decides. Its cost depends on the number of rules only by the
 * length of the sets: 1,000 rules are 32 words.
 */
import { type ActiveWindows, buildActiveWindows, lookUpActive } from './active-windows.ts';
import { type Bits, bitsFactory, setBit } from './bits.ts';
import { buildDidIndex, type DidIndex, lookUpDid } from './did-index.ts';
import { buildHeaderIndex, type HeaderIndex, type HeaderView, lookUpHeader } from './header-index.ts';
import { buildPathTrie, lookUpPath, type PathTrie } from './path-trie.ts';
import type { Rule } from './rule.ts';

interface ValueIndex {
  readonly known: ReadonlyMap<string, Bits>;
  readonly other: Bits;
  readonly unknown: Bits;
}

/** What a rule may ask about. Methods may be made on demand: a dimension that no rule uses is never looked at. */
export interface IndexedRequest extends HeaderView {
  /** The proven DID; empty when the caller proved none. */
  readonly did: string;
  readonly method: string;
  /** Percent-decoded and normalised: no `.`, `..` or encoded slash is left in it; no query. */
  readonly path: string;
  /** ISO 3166-1 alpha-2 of the source address, or null when unknown. */
  region(): string | null;
}

export interface RuleIndex {
  readonly words: number;
  readonly dids: DidIndex | null;
  readonly methods: ValueIndex | null;
  readonly paths: PathTrie | null;
  readonly regions: ValueIndex | null;
  readonly headers: readonly HeaderIndex[];
  readonly windows: ActiveWindows | null;
  /** The sets to intersect, filled anew by each look-up; a dimension that no rule uses stays at `all`. */
  readonly sets: { did: Bits; method: Bits; path: Bits; region: Bits; active: Bits };
  readonly headerSets: Bits[];
}

/** `rules` in precedence order. */
export function buildIndex(rules: readonly Rule[]): RuleIndex {
  const words = Math.ceil(rules.length / 32);
  const makeBits = bitsFactory(words);
  const where = (test: (rule: Rule) => boolean): Bits => {
    const bits = new Uint32Array(words);
    for (const [index, rule] of rules.entries()) if (test(rule)) setBit(bits, index);
    return bits;
  };
  const all = where(() => true);
  const uses = (test: (rule: Rule) => boolean) => rules.some(test);
  const paths = rules.map((rule) => rule.paths);
  const timeless = where((rule) => rule.window === null && rule.untilMs === Number.POSITIVE_INFINITY);
  const headerNames = new Set(rules.flatMap((rule) => rule.headers?.map(({ name }) => name) ?? []));
  return {
    words,
    dids: uses((rule) => rule.dids !== null)
      ? buildDidIndex(
          rules.map((rule) => rule.dids),
          makeBits,
        )
      : null,
    methods: uses((rule) => rule.methods !== null) ? methodIndex(rules, makeBits) : null,
    paths: uses((rule) => rule.paths !== null)
      ? buildPathTrie(
          paths,
          where((rule) => rule.paths === null),
        )
      : null,
    regions: uses((rule) => rule.region !== null) ? regionIndex(rules, makeBits) : null,
    headers: [...headerNames].map((name) =>
      buildHeaderIndex(
        name,
        rules,
        where((rule) => !rule.headers?.some((header) => header.name === name)),
      ),
    ),
    windows: uses((rule) => rule.window !== null || rule.emergency)
      ? buildActiveWindows(rules, timeless)
      : null,
    sets: { did: all, method: all, path: all, region: all, active: all },
    headerSets: Array.from(headerNames, () => all),
  };
}

/** Fills `index.sets` for a request; false when its path must not be matched at all. */
export function lookUp(index: RuleIndex, request: IndexedRequest, nowMs: number): boolean {
  const { sets } = index;
  if (index.paths !== null) {
    const found = lookUpPath(index.paths, request.path);
    if (found === null) return false;
    sets.path = found;
  }
  if (index.dids !== null) sets.did = lookUpDid(index.dids, request.did);
  if (index.methods !== null) sets.method = index.methods.known.get(request.method) ?? index.methods.other;
  if (index.windows !== null) sets.active = lookUpActive(index.windows, nowMs);
  if (index.regions !== null) sets.region = lookUpRegion(index.regions, request.region());
  for (let i = 0; i < index.headers.length; i++) {
    index.headerSets[i] = lookUpHeader(index.headers[i] as HeaderIndex, request);
  }
  return true;
}

/** One word of the intersection that `lookUp` prepared. */
export function matchedWord(index: RuleIndex, word: number): number {
  const { did, method, path, region, active } = index.sets;
  let bits =
    (path[word] as number) &
    (did[word] as number) &
    (method[word] as number) &
    (active[word] as number) &
    (region[word] as number);
  for (let i = 0; bits !== 0 && i < index.headerSets.length; i++) {
    bits &= (index.headerSets[i] as Bits)[word] as number;
  }
  return bits;
}

function methodIndex(rules: readonly Rule[], makeBits: ReturnType<typeof bitsFactory>): ValueIndex {
  const matching = (method: string | null) =>
    makeBits(
      indicesOf(rules, ({ methods }) => methods === null || (method !== null && methods.includes(method))),
    );
  const names = new Set(rules.flatMap((rule) => rule.methods ?? []));
  const other = matching(null);
  return { known: new Map(Array.from(names, (name) => [name, matching(name)])), other, unknown: other };
}

function regionIndex(rules: readonly Rule[], makeBits: ReturnType<typeof bitsFactory>): ValueIndex {
  const matching = (code: string) =>
    makeBits(
      indicesOf(rules, ({ region }) => region === null || region.codes.includes(code) !== region.negated),
    );
  const codes = new Set(rules.flatMap((rule) => rule.region?.codes ?? []));
  return {
    known: new Map(Array.from(codes, (code) => [code, matching(code)])),
    other: matching(''),
    unknown: makeBits(indicesOf(rules, ({ region }) => region === null || region.unknown)),
  };
}

function lookUpRegion(index: ValueIndex, region: string | null): Bits {
  return region === null ? index.unknown : (index.known.get(region) ?? index.other);
}

function indicesOf(rules: readonly Rule[], test: (rule: Rule) => boolean): number[] {
  const indices: number[] = [];
  for (const [index, rule] of rules.entries()) if (test(rule)) indices.push(index);
  return indices;
}
