import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { expect, test } from 'vitest';
import { allPages, anchors, fileUrl, type Page, page, prose } from './markdown.ts';

interface Link {
  readonly from: string;
  readonly to: string;
}

/** Relative links of a page: `[text](path#anchor)`, with or without the path. */
function linksOf(from: Page): Link[] {
  return [...prose(from).matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, to = '']) => ({ from: from.path, to }))
    .filter(({ to }) => !/^[a-z]+:/.test(to));
}

/** What is wrong with a link, or empty. */
function faultOf({ from, to }: Link): string {
  const [path = '', anchor] = to.split('#');
  const target = path === '' ? from : posix.join(posix.dirname(from), path);
  if (target.startsWith('..') || !existsSync(fileUrl(target))) return 'no such file';
  if (anchor === undefined) return '';
  return target.endsWith('.md') && anchors(page(target)).has(anchor) ? '' : 'no such heading';
}

const pages = allPages();

test('every relative link names a file, and a heading of it, that exists', () => {
  const links = pages.flatMap(linksOf);
  expect(links.length).toBeGreaterThan(30);
  expect(links.filter((link) => faultOf(link) !== '')).toEqual([]);
});

test('every page outside a room is reached from the README', () => {
  const reached = new Set(['README.md']);
  for (const path of reached) {
    for (const { to } of linksOf(page(path))) {
      const target = posix.join(posix.dirname(path), to.split('#')[0] || posix.basename(path));
      const file = existsSync(fileUrl(`${target}/README.md`)) ? `${target}/README.md` : target;
      if (file.endsWith('.md')) reached.add(file);
    }
  }
  const unreached = pages
    .map(({ path }) => path)
    .filter((path) => !path.startsWith('src/') && !reached.has(path));
  expect(unreached).toEqual([]);
});
