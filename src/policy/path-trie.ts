/**
 * Path patterns as a trie over segments: literal, `*` (one segment) or `**` (any number, none included). A path walks it as a
 * non-deterministic automaton, all live nodes at once, each at most once a segment, so the cost is bounded by
 * segments times nodes whatever the patterns are; backtracking would be exponential in the `**`.
 */
import { type Bits, copyBits, mergeSparse, type SparseBits, sparse } from './bits.ts';
import { parsePath } from './syntax.ts';

/** Deeper paths than this are denied without being matched: no agent's API is that deep, and each level costs. */
export const PATH_SEGMENTS_MAX = 256;

interface Node {
  literals: Map<string, Node> | null;
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

export interface PathTrie {
  readonly root: Node;
  /** Rules that do not ask about the path. */
  readonly base: Bits;
  /** The answer of the last look-up: reused, so it is only good until the next. */
  readonly found: Bits;
  live: Node[];
  next: Node[];
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
  return { root, base, found: new Uint32Array(base.length), live: [], next: [], generation: 0 };
}

/**
 * The rules whose pattern matches `path`, or null for a path that must not be matched at all: too deep, or not normalised
 * (a `.` or `..` segment would let `/agents/a/**` match what is outside of it).
 */
export function lookUpPath(trie: PathTrie, path: string): Bits | null {
  const { found } = trie;
  copyBits(found, trie.base);
  trie.live.length = 0;
  trie.generation++;
  enter(trie, trie.live, trie.root);
  let segments = 0;
  let start = 0;
  while (start < path.length) {
    let end = path.indexOf('/', start);
    if (end === -1) end = path.length;
    if (end > start) {
      if (++segments > PATH_SEGMENTS_MAX || isDots(path, start, end)) return null;
      if (trie.live.length > 0) advance(trie, path.slice(start, end));
    }
    start = end + 1;
  }
  for (let i = 0; i < trie.live.length; i++) mergeSparse(found, (trie.live[i] as Node).bits);
  return found;
}

function advance(trie: PathTrie, segment: string): void {
  const { live, next } = trie;
  next.length = 0;
  trie.generation++;
  for (let i = 0; i < live.length; i++) {
    const node = live[i] as Node;
    if (node.loops) enter(trie, next, node);
    const literal = node.literals?.get(segment);
    if (literal !== undefined) enter(trie, next, literal);
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
  nodes.push(node);
  if (node.globstar !== null) enter(trie, nodes, node.globstar);
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
      node.literals ??= new Map();
      let child = node.literals.get(segment);
      if (child === undefined) {
        child = newNode(false);
        node.literals.set(segment, child);
      }
      node = child;
    }
  }
  return node;
}

function seal(node: Node): void {
  node.bits = sparse(node.rules);
  node.rules = [];
  if (node.star !== null) seal(node.star);
  if (node.globstar !== null) seal(node.globstar);
  for (const child of node.literals?.values() ?? []) seal(child);
}

function newNode(loops: boolean): Node {
  return { literals: null, star: null, globstar: null, loops, rules: [], bits: new Int32Array(0), stamp: 0 };
}
