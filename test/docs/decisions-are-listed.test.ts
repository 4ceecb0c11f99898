import { expect, test } from 'vitest';
import { filesBelow, page } from './markdown.ts';

const files = filesBelow('docs/adr/', '.md').filter((path) => !path.endsWith('/README.md'));

test('decisions are numbered one by one', () => {
  const numbers = files.map((path) => Number(/\/(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1]));
  expect(numbers).toEqual(files.map((_, at) => at + 1));
});

test('the list has each with its title', () => {
  const listed = [
    ...page('docs/adr/README.md').text.matchAll(/^\| (\d+) \| \[(.+)\]\(([\w.-]+)\) \|$/gm),
  ].map(([, number, title, file]) => ({ heading: `# ${number}. ${title}`, path: `docs/adr/${file}` }));
  const written = files.map((path) => ({ heading: page(path).text.split('\n', 1)[0], path }));
  expect(listed).toEqual(written);
});

test('each fits on half a page', () => {
  expect(files.filter((path) => page(path).text.length > 2_600)).toEqual([]);
});
