import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FETCH_ERRORS } from '../../../src/trust/fetch/errors.ts';

it('the README names every code, and none that does not exist', () => {
  const readme = readFileSync(new URL('../../../src/trust/fetch/README.md', import.meta.url), 'utf8');
  const section = readme.slice(readme.indexOf('## Error codes'));
  const named = [...section.matchAll(/`(fetch_[a-z_]+)`/g)].map(([, code]) => code);
  expect(new Set(named)).toEqual(new Set(Object.keys(FETCH_ERRORS)));
});
