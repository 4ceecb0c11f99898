/**
 * Path patterns as a trie over segments: literal, `*` (one segment) or `**` (any number, none included). A path walks it as a
 * non-deterministic automaton, all live nodes at once, each at most once a segment, so the cost is bounded by
 * segments times nodes whatever the patterns are; backtracking would be exponential in the `**`.
 */
import { type Bits, copyBits, mergeSparse, type SparseBits, sparse } from './bits.ts';
import { parsePath } from './syntax.ts';

/** Deeper paths than this are denied without being matched: no agent's API is that deep, and each level costs. */
const PATH_SEGMENTS_MAX = 256;
const SLASH = 0x2f;
const SLOTS_MIN = 4;
const NO_BITS: SparseBits = new Int32Array(0);

interface Node {
  /** The literal segment that leads here; empty for others. */
  readonly label: string;
  literals: LabelTable | null;
  star: Node | null;
  globstar: Node | null;
  /** True for the node a `**` leads to: it stays live whatever segment comes. */
  readonly loops: boolean;
  /** Rules whose pattern ends here. */
  rules: number[];
  bits: SparseBits;
  /** The generation in which this node was last made live. */
  stamp: number;
}

/**
 * Children by the hash of their label, open addressing. A `Map` would need each segment cut out of the path and hashed by the
 * engine, which was more than half of a decision; the hash here is made while the path is scanned. Only labels of the policy
 * are stored, so a stranger cannot make its chains longer.
 */
interface LabelTable {
  /** Power of two, at most half full. */
  slots: (Node | null)[];
  used: number;
}

export interface PathTrie {
  readonly root: Node;
  /** Rules that do not ask about the path. */
  readonly base: Bits;
  /** The answer of the last look-up: reused, so it is only good until the next. */
  readonly found: Bits;
  /** Nodes live now are the first `count`; what lies behind is left over. */
  live: Node[];
  next: Node[];
  count: number;
  generation: number;
}

/** `patterns[i]`: the patterns of rule *i*, each split into segments, or null. */
export function buildPathTrie(
  patterns: readonly (readonly (readonly string[])[] | null)[],
  base: Bits,
): PathTrie {
  const root = newNode(false);
  for (const [rule, list] of patterns.entries()) {
    for (const pattern of list ?? []) {
      const end = insert(root, pattern);
      if (end.rules.at(-1) !== rule) end.rules.push(rule);
    }
  }
  seal(root);
  const found = new Uint32Array(base.length);
  return { root, base, found, live: [], next: [], count: 0, generation: 0 };
}

/**
 * The rules whose pattern matches `path`, or null for a path that must not be matched at all: too deep, or not normalised
 * (a `.` or `..` segment would let `/agents/a/**` match what is outside of it).
 */
export function lookUpPath(trie: PathTrie, path: string): Bits | null {
  const { found } = trie;
  copyBits(found, trie.base);
  trie.count = 0;
  trie.generation++;
  enter(trie, trie.live, trie.root);
  const { length } = path;
  let segments = 0;
  let start = 0;
  let hash = 0;
  for (let i = 0; i <= length; i++) {
    const code = i < length ? path.charCodeAt(i) : SLASH;
    if (code !== SLASH) {
      hash = hashStep(hash, code);
      continue;
    }
    if (i > start) {
      if (++segments > PATH_SEGMENTS_MAX || isDots(path, start, i)) return null;
      if (trie.count > 0) advance(trie, path, start, i, hash);
    }
    start = i + 1;
    hash = 0;
  }
  for (let i = 0; i < trie.count; i++) mergeSparse(found, (trie.live[i] as Node).bits);
  return found;
}

function advance(trie: PathTrie, path: string, start: number, end: number, hash: number): void {
  const { live, next, count } = trie;
  trie.count = 0;
  trie.generation++;
  for (let i = 0; i < count; i++) {
    const node = live[i] as Node;
    if (node.loops) enter(trie, next, node);
    if (node.literals !== null) {
      const literal = childOf(node.literals, path, start, end, hash);
      if (literal !== null) enter(trie, next, literal);
    }
    if (node.star !== null) enter(trie, next, node.star);
  }
  trie.live = next;
  trie.next = live;
}

/** Makes a node live, and with it the `**` behind it, which needs no segment. */
function enter(trie: PathTrie, nodes: Node[], node: Node): void {
  if (node.stamp === trie.generation) return;
  node.stamp = trie.generation;
  if (node.loops && node.literals === null && node.star === null) {
    // A `**` at the pattern's end has matched already, whatever follows.
    mergeSparse(trie.found, node.bits);
    return;
  }
  nodes[trie.count++] = node;
  if (node.globstar !== null) enter(trie, nodes, node.globstar);
}

function childOf(table: LabelTable, path: string, start: number, end: number, hash: number): Node | null {
  const { slots } = table;
  const mask = slots.length - 1;
  for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
    const child = slots[slot] as Node | null;
    if (child === null) return null;
    if (child.label.length === end - start && path.startsWith(child.label, start)) return child;
  }
}

/** FNV-1a on UTF-16 code units, its high bits folded in once more because tables look at the low ones. */
function hashStep(hash: number, code: number): number {
  const mixed = Math.imul(hash ^ code, 0x0100_0193);
  return mixed ^ (mixed >>> 15);
}

function isDots(path: string, start: number, end: number): boolean {
  if (end - start > 2 || path.charCodeAt(start) !== 0x2e) return false;
  return end - start === 1 || path.charCodeAt(start + 1) === 0x2e;
}

/** Whether every look-up would refuse this path. */
export function isMatchablePath(path: string): boolean {
  const segments = parsePath(path);
  return (
    segments.length <= PATH_SEGMENTS_MAX && !segments.some((segment) => segment === '.' || segment === '..')
  );
}

function insert(root: Node, pattern: readonly string[]): Node {
  let node = root;
  for (const segment of pattern) {
    if (segment === '*') {
      node.star ??= newNode(false);
      node = node.star;
    } else if (segment === '**') {
      // `/**/**` is `/**`.
      if (!node.loops) node.globstar ??= newNode(true);
      node = node.globstar ?? node;
    } else {
      node.literals ??= { slots: emptySlots(SLOTS_MIN), used: 0 };
      node = childFor(node.literals, segment);
    }
  }
  return node;
}

function childFor(table: LabelTable, label: string): Node {
  const known = childOf(table, label, 0, label.length, hashOf(label));
  if (known !== null) return known;
  if (table.used * 2 >= table.slots.length) {
    const { slots } = table;
    table.slots = emptySlots(slots.length * 2);
    for (const child of slots) if (child !== null) place(table.slots, child);
  }
  const child = newNode(false, label);
  place(table.slots, child);
  table.used++;
  return child;
}

function place(slots: (Node | null)[], node: Node): void {
  const mask = slots.length - 1;
  let slot = hashOf(node.label) & mask;
  while (slots[slot] !== null) slot = (slot + 1) & mask;
  slots[slot] = node;
}

function hashOf(label: string): number {
  let hash = 0;
  for (let i = 0; i < label.length; i++) hash = hashStep(hash, label.charCodeAt(i));
  return hash;
}

function emptySlots(length: number): (Node | null)[] {
  return Array.from({ length }, () => null);
}

function seal(node: Node): void {
  node.bits = sparse(node.rules);
  node.rules = [];
  if (node.star !== null) seal(node.star);
  if (node.globstar !== null) seal(node.globstar);
  for (const child of node.literals?.slots ?? []) if (child !== null) seal(child);
}

function newNode(loops: boolean, label = ''): Node {
  return { label, literals: null, star: null, globstar: null, loops, rules: [], bits: NO_BITS, stamp: 0 };
}
