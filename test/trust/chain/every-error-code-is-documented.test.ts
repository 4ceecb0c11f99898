import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const room = new URL('../../../src/trust/chain/', import.meta.url);

test('the README lists the error codes of the catalogue, all of them and no others', () => {
  const catalogue = readFileSync(new URL('errors.ts', room), 'utf8');
  const readme = readFileSync(new URL('README.md', room), 'utf8');
  const coded = [...catalogue.matchAll(/^ {2}([a-z]+_[a-z_]+): '/gm)].map((match) => match[1]);
  const listed = [...readme.matchAll(/^\| `([a-z_]+)` *\|/gm)].map((match) => match[1]);
  expect(coded.length).toBeGreaterThan(5);
  expect(new Set(listed)).toEqual(new Set(coded));
});
