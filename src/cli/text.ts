/** How a terminal is written to: marks, tables, and nothing in it that the terminal would obey. */
import { styleText } from 'node:util';

/** `[+]` done or well, `[-]` failed or bad, `[!]` look at this, `[*]` for your information. */
export type Mark = '+' | '-' | '!' | '*';

const COLOURS = { '+': 'green', '-': 'red', '!': 'yellow', '*': 'cyan' } as const;

/** Writes with colour or without. */
export interface Pen {
  mark(mark: Mark): string;
  strong(text: string): string;
  faint(text: string): string;
  /** Characters of a line; Infinity where lines may be as long as they like. */
  readonly width: number;
}

export function createPen(colour: boolean, width = Number.POSITIVE_INFINITY): Pen {
  const styled = (style: 'green' | 'red' | 'yellow' | 'cyan' | 'bold' | 'dim', text: string): string =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  return {
    mark: (mark) => styled(COLOURS[mark], `[${mark}]`),
    strong: (text) => styled('bold', text),
    faint: (text) => styled('dim', text),
    width,
  };
}

/**
 * Text that came from elsewhere, such as the path of a stranger's request: control characters could move the cursor or
 * rename the window, and marks of direction could turn a line around.
 */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f]/gu, '\ufffd');
}

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string | number | null | undefined;
}

export interface TableOptions<Row> {
  readonly columns: readonly Column<Row>[];
  readonly mark?: (row: Row) => Mark;
  /** What is said when there is no row. */
  readonly none: string;
}

/** Lines of a table; on a terminal the last column ends where the line does. */
export function table<Row>(rows: readonly Row[], options: TableOptions<Row>, pen: Pen): string[] {
  const { columns, mark, none } = options;
  if (rows.length === 0) return [`${pen.mark('*')} ${none}`];
  const cells = rows.map((row) => columns.map(({ text }) => plain(String(text(row) ?? '-'))));
  const widths = columns.map(({ title }, at) =>
    Math.max(title.length, ...cells.map((line) => line[at]?.length ?? 0)),
  );
  const joined = (line: readonly string[]): string =>
    line
      .map((cell, at) => (at === columns.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd();
  const indent = mark === undefined ? '' : '    ';
  const room = pen.width - indent.length;
  const cut = (text: string): string =>
    text.length > room ? `${text.slice(0, Math.max(0, room - 1))}…` : text;
  const head = `${indent}${pen.faint(cut(joined(columns.map(({ title }) => title))))}`;
  const body = rows.map((row, at) => {
    const start = mark === undefined ? '' : `${pen.mark(mark(row))} `;
    return `${start}${cut(joined(cells[at] ?? []))}`;
  });
  return [head, ...body];
}

/** Lines of `name  value`. */
export function pairs(entries: readonly (readonly [string, unknown])[], pen: Pen): string[] {
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => {
    const text =
      value === null || value === undefined || value === ''
        ? '-'
        : plain(String(value as string | number | boolean));
    return `${pen.faint(name.padEnd(width))}  ${text}`;
  });
}

/** Members of a JSON object as rows of `pairs`: nested ones by their path, lists of objects by position. */
export function flattened(value: unknown, prefix = ''): [string, string][] {
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object'))
    return [[prefix, value.join(', ')]];
  if (typeof value !== 'object' || value === null)
    return [[prefix, value === null ? '' : String(value as string | number | boolean)]];
  return Object.entries(value).flatMap(([name, member]) =>
    flattened(member, prefix === '' ? name : `${prefix}.${name}`),
  );
}
