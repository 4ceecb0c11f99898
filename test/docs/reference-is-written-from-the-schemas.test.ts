import { expect, test } from 'vitest';
import { page } from './markdown.ts';
import { envExample, PAGES, SCHEMAS, writeParts } from './reference.ts';

// Each of these is mended by `npm run docs`.
test.each(Object.entries(PAGES))('the written parts of %s', (path, parts) => {
  const { text } = page(path);
  expect(text).toBe(writeParts(text, parts));
});

test('.env.example', () => {
  expect(page('.env.example').text).toBe(envExample());
});

test.each(Object.entries(SCHEMAS))('%s', (path, write) => {
  expect(page(path).text).toBe(write());
});
