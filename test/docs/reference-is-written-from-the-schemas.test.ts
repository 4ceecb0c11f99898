import { expect, test } from 'vitest';
import { page } from './markdown.ts';
import { envExample, SCHEMAS, writeParts } from './reference.ts';

// Each of these is mended by `npm run docs`.
test('the tables of the configuration page', () => {
  const { text } = page('docs/configuration.md');
  expect(text).toBe(writeParts(text));
});

test('.env.example', () => {
  expect(page('.env.example').text).toBe(envExample());
});

test.each(Object.entries(SCHEMAS))('%s', (path, write) => {
  expect(page(path).text).toBe(write());
});
