/** Reads this project's Markdown as far as its tests need: files, code, links, headings, tables. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../../', import.meta.url);
const SKIPPED = new Set(['node_modules', 'dist', 'coverage']);

export interface Page {
  /** Relative to the project, with slashes. */
  readonly path: string;
  readonly text: string;
}

export function page(path: string): Page {
  return { path, text: readFileSync(new URL(path, ROOT), 'utf8') };
}

export function fileUrl(path: string): URL {
  return new URL(path, ROOT);
}

/** Paths of files below `folder` (empty: the whole project) that end in `suffix`. */
export function filesBelow(folder: string, suffix: string): string[] {
  const found: string[] = [];
  const walk = (path: string): void => {
    for (const entry of readdirSync(fileURLToPath(new URL(path, ROOT)), { withFileTypes: true })) {
      if (entry.name.startsWith('.') || SKIPPED.has(entry.name)) continue;
      const below = `${path}${entry.name}`;
      if (entry.isDirectory()) walk(`${below}/`);
      else if (entry.name.endsWith(suffix)) found.push(below);
    }
  };
  walk(folder);
  return found.sort();
}

/** Every Markdown file of the project. */
export function allPages(): Page[] {
  return filesBelow('', '.md').map(page);
}

/** What an operator or a caller reads: the README and `docs/` without the decisions. */
export function manual(): Page[] {
  const docs = filesBelow('docs/', '.md').filter((path) => !path.startsWith('docs/adr/'));
  return ['README.md', ...docs].map(page);
}

interface Block {
  readonly language: string;
  readonly text: string;
  /** Of its first line, from 1. */
  readonly line: number;
}

/** Fenced code blocks. */
export function codeBlocks({ text }: Page): Block[] {
  const blocks: Block[] = [];
  for (const match of text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)) {
    const line = text.slice(0, match.index).split('\n').length + 1;
    blocks.push({ language: match[1] ?? '', text: match[2] ?? '', line });
  }
  return blocks;
}

/** The page without its fenced code, lines kept. */
export function prose({ text }: Page): string {
  return text.replace(/^```\w*\n[\s\S]*?^```$/gm, (block) => block.replace(/[^\n]/g, ''));
}

/** Texts in single backticks, in prose and tables. */
export function codeSpans(from: Page): string[] {
  return [...prose(from).matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
}

/** The cells of every row of every table, heads and rulers left out. */
export function tableRows(text: string): string[][] {
  return [...text.matchAll(/^\|(.+)\|$/gm)]
    .map((match) => (match[1] ?? '').split(/(?<!\\)\|/).map((cell) => cell.trim()))
    .filter((cells) => !cells.every((cell) => /^:?-+:?$/.test(cell)));
}

/** The part of a page below a heading, up to the next of the same or a higher level. */
export function section(from: Page, heading: string): string {
  const level = heading.indexOf(' ');
  const start = from.text.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`${from.path} has no heading "${heading}"`);
  const rest = from.text.slice(start + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'));
  return end === -1 ? rest : rest.slice(0, end);
}

/** As GitHub makes them. */
export function anchors(from: Page): Set<string> {
  const headings = [...prose(from).matchAll(/^#{1,6} (.+)$/gm)].map((match) => match[1] ?? '');
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{Letter}\p{Number} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}
