import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { DID_REFUSALS, WIRE_REFUSALS } from '../../src/gateway/identity/errors.ts';
import type { RefusalKind } from '../../src/gateway/refusal.ts';
import { DID_ERRORS } from '../../src/trust/did/errors.ts';
import { WIRE_ERRORS } from '../../src/trust/wire/errors.ts';
import { filesBelow, fileUrl, page, tableRows } from './markdown.ts';

interface Refusal {
  readonly code: string;
  readonly status: number;
  readonly retryable: boolean;
  readonly file: string;
}

/** `code: [401, …, true]` in a source file: the shape of every catalogue that is told to a caller. */
const ROW_IN_SOURCE = /^ {2}([a-z][a-z0-9_]*): \[\s*(\d{3}),[^\]]*?\b(true|false),?\s*\],$/gm;

function isKind(value: unknown): value is RefusalKind {
  return typeof value === 'object' && value !== null && 'status' in value && 'retryable' in value;
}

/** Catalogues are found by name, so that a new one cannot be forgotten. */
async function readCatalogues(): Promise<Refusal[]> {
  const files = filesBelow('src/', '.ts').filter((path) => /(?:^|[/-])errors\.ts$/.test(path));
  const found: Refusal[] = [];
  for (const file of files) {
    const exported: Record<string, unknown> = await import(fileUrl(file).href);
    const kinds = Object.values(exported).flatMap((value) =>
      typeof value === 'object' && value !== null ? Object.values(value).filter(isKind) : [],
    );
    for (const { code, status, retryable } of kinds) found.push({ code, status, retryable, file });
    const known = new Set(kinds.map(({ code }) => code));
    // A catalogue that keeps its rows to itself is still read by callers.
    for (const row of readFileSync(fileUrl(file), 'utf8').matchAll(ROW_IN_SOURCE)) {
      const [, code = '', status, retryable] = row;
      if (!known.has(code))
        found.push({ code, status: Number(status), retryable: retryable === 'true', file });
    }
  }
  return found;
}

const documented = tableRows(page('docs/errors.md').text)
  .map(([code = '', status = '', retry = '', meaning = '']) => ({
    code: /^`([a-z0-9_]+)`$/.exec(code)?.[1] ?? '',
    status: Number(status),
    retryable: retry === 'yes',
    meaning,
  }))
  .filter(({ code }) => code !== '');

let catalogues: Refusal[];
beforeAll(async () => {
  catalogues = await readCatalogues();
});

describe('docs/errors.md', () => {
  test('knows every code a caller can be answered with, and invents none', () => {
    expect(catalogues.length).toBeGreaterThan(90);
    expect(documented.map(({ code }) => code).sort()).toEqual(
      [...new Set(catalogues.map(({ code }) => code))].sort(),
    );
  });

  test('states the status and whether to try again as the catalogue does', () => {
    const rows = new Map(documented.map((row) => [row.code, row]));
    const wrong = catalogues.filter(({ code, status, retryable }) => {
      const row = rows.get(code);
      return row?.status !== status || row.retryable !== retryable;
    });
    expect(wrong).toEqual([]);
  });

  test('says what each means', () => {
    expect(documented.filter(({ meaning }) => meaning.length < 10)).toEqual([]);
  });
});

test('no two catalogues claim one code with different statuses', () => {
  const statuses = new Map<string, Set<number>>();
  for (const { code, status } of catalogues)
    statuses.set(code, (statuses.get(code) ?? new Set()).add(status));
  expect([...statuses].filter(([, all]) => all.size > 1).map(([code]) => code)).toEqual([]);
});

test('what `trust` can find wrong has a refusal each', () => {
  expect(Object.keys(WIRE_REFUSALS)).toEqual(Object.keys(WIRE_ERRORS));
  expect(Object.keys(DID_REFUSALS)).toEqual(Object.keys(DID_ERRORS));
  const found = new Set(catalogues.map(({ code }) => code));
  const missed = [...Object.keys(WIRE_ERRORS), ...Object.keys(DID_ERRORS)].filter((code) => !found.has(code));
  expect(missed).toEqual([]);
});
