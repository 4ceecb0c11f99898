/** What a PromQL expression asks for, read by Prometheus' own grammar. */
import type { SyntaxNode } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';

interface Matcher {
  readonly label: string;
  /** `=`, `!=`, `=~` or `!~`. */
  readonly operator: string;
  readonly value: string;
}

export interface Selector {
  readonly metric: string;
  readonly matchers: readonly Matcher[];
  /** Labels that something around it groups by. */
  readonly grouped: ReadonlySet<string>;
}

/**
 * The series an expression selects.
 * @throws Error with what is left where the expression is no PromQL
 */
export function selectorsOf(expression: string): Selector[] {
  const tree = parser.parse(expression);
  const found: Selector[] = [];
  const text = (node: SyntaxNode | null): string =>
    node === null ? '' : expression.slice(node.from, node.to);
  const labelsBelow = (node: SyntaxNode): string[] => {
    const labels: string[] = [];
    node.cursor().iterate((each) => {
      if (each.name === 'LabelName') labels.push(expression.slice(each.from, each.to));
    });
    return labels;
  };
  const visit = (node: SyntaxNode, around: ReadonlySet<string>): void => {
    if (node.type.isError) throw new Error(`no PromQL from "${expression.slice(node.from)}": ${expression}`);
    const grouping = node.getChild('AggregateModifier')?.getChild('GroupingLabels');
    const grouped = grouping == null ? around : new Set([...around, ...labelsBelow(grouping)]);
    if (node.name === 'VectorSelector') {
      const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
      found.push({
        metric: text(node.getChild('Identifier')),
        grouped,
        matchers: matchers.map((matcher) => ({
          label: text(matcher.getChild('LabelName')),
          operator: text(matcher.getChild('MatchOp')),
          value: text(matcher.getChild('StringLiteral')).slice(1, -1),
        })),
      });
    }
    for (let child = node.firstChild; child !== null; child = child.nextSibling) visit(child, grouped);
  };
  visit(tree.topNode, new Set());
  return found;
}

/** What a scrape shows: of each series' name, its labels and the values they have. */
export function readScrape(text: string): Map<string, Map<string, Set<string>>> {
  const series = new Map<string, Map<string, Set<string>>>();
  for (const line of text.split('\n')) {
    const [, name = '', braces = ''] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    if (name === '') continue;
    const labels = series.get(name) ?? new Map<string, Set<string>>();
    series.set(name, labels);
    for (const [, label = '', value = ''] of braces.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      labels.set(label, (labels.get(label) ?? new Set()).add(value));
  }
  return series;
}
