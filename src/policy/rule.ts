/** A rule with everything resolved (sets, shorthands, defaults): what the index is built from. */

/** A pattern of a header's value, split at its `*`. */
export interface Glob {
  readonly text: string;
  readonly parts: readonly string[];
}

export interface HeaderMatch {
  /** Lower case. */
  readonly name: string;
  readonly globs: readonly Glob[];
}

interface RegionMatch {
  readonly codes: readonly string[];
  /** True for "anywhere but these", as `allowed_regions` becomes. */
  readonly negated: boolean;
  /** Whether an address that the database does not know matches. */
  readonly unknown: boolean;
}

/** When a rule is awake. Spans are minutes of the week (0 = Monday 00:00), half-open. */
export interface Window {
  readonly timezone: string;
  readonly spans: readonly (readonly [number, number])[];
}

export interface Rule {
  readonly id: string;
  readonly effect: 'allow' | 'deny';
  readonly emergency: boolean;
  /** Milliseconds since the epoch at which an emergency rule falls asleep; Infinity for the others. */
  readonly untilMs: number;
  readonly priority: number;
  readonly shadow: boolean;
  readonly reason: string;
  /** Each dimension: null when the rule does not ask about it. */
  readonly dids: readonly string[] | null;
  readonly methods: readonly string[] | null;
  /** Patterns split into segments. */
  readonly paths: readonly (readonly string[])[] | null;
  readonly region: RegionMatch | null;
  readonly headers: readonly HeaderMatch[] | null;
  readonly window: Window | null;
}

/**
 * Precedence: emergency before deny before allow; then the higher priority; then the more specific; then the order of the file
 * (which between rules of one effect only decides whose name is recorded).
 */
export function byPrecedence(rules: readonly Rule[]): Rule[] {
  return rules
    .map((rule, position) => ({ rule, position, specificity: specificity(rule) }))
    .sort(
      (a, b) =>
        rank(a.rule) - rank(b.rule) ||
        b.rule.priority - a.rule.priority ||
        b.specificity - a.specificity ||
        a.position - b.position,
    )
    .map(({ rule }) => rule);
}

function rank(rule: Rule): number {
  if (rule.emergency) return 0;
  return rule.effect === 'deny' ? 1 : 2;
}

/**
 * How narrow a rule is: first by the number of dimensions it asks about, then by the literal segments of its widest path, then by
 * whether it names DIDs exactly.
 */
function specificity(rule: Rule): number {
  const dimensions = [rule.dids, rule.methods, rule.paths, rule.region, rule.window].filter(
    (each) => each !== null,
  );
  const literals = (rule.paths ?? []).map(
    (path) => path.filter((segment) => !segment.startsWith('*')).length,
  );
  const exact = rule.dids?.every((did) => !did.endsWith('*')) ?? false;
  const asked = dimensions.length + (rule.headers?.length ?? 0);
  // A path has at most 512 segments (a pattern has at most 1,024 characters), so the three never overlap.
  return asked * 2_048 + (literals.length === 0 ? 0 : Math.min(...literals)) * 2 + (exact ? 1 : 0);
}

/** Equal for two rules that match exactly the same requests as far as their text tells. */
export function matchKey(rule: Rule): string {
  const sorted = (list: readonly string[] | null) =>
    list === null || list.length < 2 ? list : list.toSorted();
  const region = rule.region && [sorted(rule.region.codes), rule.region.negated, rule.region.unknown];
  const headers = rule.headers
    ?.map(({ name, globs }) => [name, sorted(globs.map((glob) => glob.text))])
    .sort();
  const window = rule.window && [rule.window.timezone, rule.window.spans];
  const paths = sorted(rule.paths?.map((path) => path.join('/')) ?? null);
  return JSON.stringify([
    sorted(rule.dids),
    sorted(rule.methods),
    paths,
    region,
    headers,
    window,
    rule.untilMs,
  ]);
}
