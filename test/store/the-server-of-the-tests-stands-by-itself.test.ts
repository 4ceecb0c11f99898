import { lstatSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ensurePostgres } from '../support/ensure-postgres.ts';

const folder = ensurePostgres();

describe.skipIf(folder === null)('the copy of PostgreSQL', () => {
  test('leads nowhere else: the checkout that made it may be gone', () => {
    const root = realpathSync(folder ?? '');
    const links = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .map((name) => join(root, name))
      .filter((path) => lstatSync(path).isSymbolicLink());
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((path) => !realpathSync(path).startsWith(`${root}/`))).toEqual([]);
  });
});
