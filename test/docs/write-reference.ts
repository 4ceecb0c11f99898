/** `npm run docs`: writes what the manual takes from the schemas. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileUrl, page } from './markdown.ts';
import { envExample, PAGES, SCHEMAS, writeParts } from './reference.ts';

const written: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Object.entries(PAGES).map(([path, parts]) => [path, writeParts(page(path).text, parts)]),
  ),
  '.env.example': envExample(),
  ...Object.fromEntries(Object.entries(SCHEMAS).map(([path, write]) => [path, write()])),
};
mkdirSync(fileUrl('docs/schema/'), { recursive: true });
for (const [path, text] of Object.entries(written)) writeFileSync(fileUrl(path), text);
console.log(`written: ${Object.keys(written).join(', ')}`);
