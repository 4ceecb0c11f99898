import { describe, expect, test } from 'vitest';
import { codeSpans, filesBelow, page, section, tableRows } from './markdown.ts';

const PAGE = page('docs/troubleshooting.md');

/** Codes with which a start can fail: those made by createError with status 500, and those of the settings. */
const STARTING = new Set(
  filesBelow('src/', '.ts').flatMap((path) => {
    const { text } = page(path);
    const own = [...text.matchAll(/readonly code = '(SAGE_\w+_INVALID)'/g)];
    const made = [...text.matchAll(/createError(?:<[^(]*>)?\(\s*'([A-Z_]+)',\s*[^)]*?,\s*500,?\s*\)/g)];
    return [...own, ...made].map((match) => match[1] ?? '');
  }),
);

test('what keeps a gateway from starting is told, with what to do', () => {
  const told = new Set(
    tableRows(section(PAGE, '## It does not start'))
      .slice(1)
      .map(([code = '']) => code.replaceAll('`', '')),
  );
  expect(STARTING.size).toBeGreaterThan(4);
  expect([...STARTING].filter((code) => !told.has(code))).toEqual([]);
});

describe('codes of refusals that it explains', () => {
  const known = new Set(codeSpans(page('docs/errors.md')));
  const explained = [...PAGE.text.matchAll(/^### (.+)$/gm)].flatMap(([, heading = '']) =>
    [...heading.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? ''),
  );

  test('are codes of the list', () => {
    expect(explained.length).toBeGreaterThan(10);
    expect(explained.filter((code) => !known.has(code))).toEqual([]);
  });
});
