import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRegions } from '../../src/policy/regions.ts';
import { tinyMmdb } from './tiny-mmdb.ts';

let directory: string;
const database = tinyMmdb({
  '192.0.2.0/24': { country: { iso_code: 'DE' } },
  '198.51.100.0/25': { country: 'KR' },
  '198.51.100.128/25': { country_code: 'US' },
  '203.0.113.0/24': { country: { iso_code: 'not a code' } },
});

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sage-regions-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function file(name: string, content: Buffer | string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

test('an address is looked up in the database, whatever its form', async () => {
  const regions = await openRegions(await file('tiny.mmdb', database));
  expect(regions.description).toBe('Tiny-Country of 2023-11-14');
  expect(regions.lookup('192.0.2.7')).toBe('DE');
  expect(regions.lookup('::ffff:192.0.2.7')).toBe('DE');
  expect(regions.lookup('198.51.100.1')).toBe('KR');
  expect(regions.lookup('198.51.100.200')).toBe('US');
});

test('what the database does not know, or no address, is unknown and never throws', async () => {
  const regions = await openRegions(await file('tiny.mmdb', database));
  for (const address of [
    '127.0.0.1',
    '203.0.113.9',
    '2001:db8::1',
    '::1',
    'fe80::1%eth0',
    '',
    'nonsense',
    '1.2.3',
  ]) {
    expect(regions.lookup(address), address).toBeNull();
  }
});

test('a missing database is refused by name', async () => {
  await expect(openRegions(join(directory, 'none.mmdb'))).rejects.toMatchObject({
    code: 'region_database_unreadable',
    message: expect.stringContaining('none.mmdb: cannot be read (ENOENT)'),
  });
});

test.each([
  ['text', Buffer.from('not a database')],
  ['empty', Buffer.alloc(0)],
  ['gzip', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0])],
  ['its tree cut away', database.subarray(database.length - 230)],
])('a damaged database is refused: %s', async (name, content) => {
  await expect(openRegions(await file(`${name}.mmdb`, content))).rejects.toMatchObject({
    code: 'region_database_invalid',
    message: expect.stringContaining('not a usable MMDB file'),
  });
});
