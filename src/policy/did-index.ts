/** DIDs, exact and by prefix, to the rules that match them. */
import type { Bits, bitsFactory } from './bits.ts';

/**
 * Prefixes are sorted; the last one not after a DID either is a prefix of it or has, among its own prefixes in the list, all
 * those that are. So a binary search and a short walk up the parents find the longest, whose bits hold the shorter ones' too.
 */
export interface DidIndex {
  /** For the caller without a DID: only rules that do not ask. */
  readonly anonymous: Bits;
  readonly exact: ReadonlyMap<string, Bits>;
  readonly prefixes: readonly string[];
  /** Index of the longest other prefix that begins each prefix, or -1. */
  readonly parents: Int32Array;
  readonly bits: readonly Bits[];
}

/** `dids[i]`: the patterns of rule *i*, or null. */
export function buildDidIndex(
  dids: readonly (readonly string[] | null)[],
  makeBits: ReturnType<typeof bitsFactory>,
): DidIndex {
  const always: number[] = [];
  const exactRules = new Map<string, number[]>();
  const prefixRules = new Map<string, number[]>();
  for (const [rule, patterns] of dids.entries()) {
    if (patterns === null) always.push(rule);
    for (const pattern of patterns ?? []) {
      const [map, key] = pattern.endsWith('*') ? [prefixRules, pattern.slice(0, -1)] : [exactRules, pattern];
      const rules = map.get(key);
      if (rules === undefined) map.set(key, [rule]);
      else rules.push(rule);
    }
  }
  // Default order: UTF-16 code units, which is what `<` on strings compares.
  const prefixes = [...prefixRules.keys()].sort();
  const parents = new Int32Array(prefixes.length).fill(-1);
  const rulesOf: (readonly number[])[] = [];
  for (const [index, prefix] of prefixes.entries()) {
    let parent = index - 1;
    while (parent >= 0 && !prefix.startsWith(prefixes[parent] as string)) parent = parents[parent] as number;
    parents[index] = parent;
    rulesOf.push(union(prefixRules.get(prefix) ?? [], parent < 0 ? always : (rulesOf[parent] as number[])));
  }
  const anonymous = makeBits(always);
  const bits = rulesOf.map((rules) => makeBits(rules));
  const exact = new Map<string, Bits>();
  for (const [did, rules] of exactRules) {
    const prefix = longestPrefix(prefixes, parents, did);
    exact.set(did, makeBits(union(rules, prefix < 0 ? always : (rulesOf[prefix] as number[]))));
  }
  return { anonymous, exact, prefixes, parents, bits };
}

export function lookUpDid(index: DidIndex, did: string): Bits {
  // `did: "*"` means anybody who proved a DID; who proved none has the empty one.
  if (did === '') return index.anonymous;
  const exact = index.exact.get(did);
  if (exact !== undefined) return exact;
  const prefix = longestPrefix(index.prefixes, index.parents, did);
  return prefix < 0 ? index.anonymous : (index.bits[prefix] as Bits);
}

function longestPrefix(prefixes: readonly string[], parents: Int32Array, did: string): number {
  let low = 0;
  let high = prefixes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((prefixes[middle] as string) <= did) low = middle + 1;
    else high = middle;
  }
  let found = low - 1;
  while (found >= 0 && !did.startsWith(prefixes[found] as string)) found = parents[found] as number;
  return found;
}

/** Ascending, without repeats. */
function union(a: readonly number[], b: readonly number[]): number[] {
  return [...new Set([...a, ...b])].sort((x, y) => x - y);
}
