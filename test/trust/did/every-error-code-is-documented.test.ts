import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { DID_ERRORS } from '../../../src/trust/did/errors.ts';

it('the README names every code, and none that does not exist', () => {
  const readme = readFileSync(new URL('../../../src/trust/did/README.md', import.meta.url), 'utf8');
  const section = readme.slice(readme.indexOf('## Error codes'), readme.indexOf('## What remains'));
  const named = [...section.matchAll(/`([a-z_]+)`/g)].map(([, code]) => code);
  expect(new Set(named)).toEqual(new Set(Object.keys(DID_ERRORS)));
});
