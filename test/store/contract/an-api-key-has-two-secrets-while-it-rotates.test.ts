import { expect, test } from 'vitest';
import type { ApiKeyRow } from '../../../src/store/database.ts';
import { NOW, onEveryDatabase } from './support.ts';

const DAY_MS = 86_400_000;

function keyOf(id: string, more: Partial<ApiKeyRow> = {}): Omit<ApiKeyRow, 'revokedAtMs' | 'lastUsedAtMs'> {
  return {
    id,
    name: `name of ${id}`,
    role: 'operator',
    scopes: null,
    secrets: [{ hash: `${id}-1`, expiresAtMs: null }],
    createdAtMs: NOW,
    createdBy: 'key:bootstrap',
    expiresAtMs: null,
    ...more,
  };
}

onEveryDatabase(({ open }) => {
  test('what is inserted is what is read', async () => {
    const { apiKeys } = await open();
    const key = keyOf('whole', { scopes: ['agents:read', 'stream:read'], expiresAtMs: NOW + 5 });
    await apiKeys.insert(key);
    expect(await apiKeys.get('whole')).toEqual({ ...key, revokedAtMs: null, lastUsedAtMs: null });
    expect(await apiKeys.get('none')).toBeNull();
    await expect(apiKeys.insert(key)).rejects.toMatchObject({ code: 'ROW_EXISTS' });
  });

  test('rotation puts a new secret first and lets only the one before it live', async () => {
    const { apiKeys } = await open();
    await apiKeys.insert(keyOf('turn'));
    const once = await apiKeys.rotate('turn', { hash: 'turn-2', expiresAtMs: NOW + 9 }, NOW + 100);
    expect(once.secrets).toEqual([
      { hash: 'turn-2', expiresAtMs: NOW + 9 },
      { hash: 'turn-1', expiresAtMs: NOW + 100 },
    ]);
    const twice = await apiKeys.rotate('turn', { hash: 'turn-3', expiresAtMs: null }, NOW + 200);
    // The one before would have ended sooner by itself, and still does.
    expect(twice.secrets).toEqual([
      { hash: 'turn-3', expiresAtMs: null },
      { hash: 'turn-2', expiresAtMs: NOW + 9 },
    ]);
    expect(await apiKeys.get('turn')).toEqual(twice);
  });

  test('a revoked key stays revoked since then, and cannot be rotated', async () => {
    const { apiKeys } = await open();
    await apiKeys.insert(keyOf('gone'));
    await apiKeys.revoke('gone', NOW + 1);
    await apiKeys.revoke('gone', NOW + 2);
    expect(await apiKeys.get('gone')).toMatchObject({ revokedAtMs: NOW + 1 });
    const secret = { hash: 'gone-2', expiresAtMs: null };
    await expect(apiKeys.rotate('gone', secret, NOW)).rejects.toMatchObject({ code: 'ROW_MISSING' });
    await expect(apiKeys.rotate('none', secret, NOW)).rejects.toMatchObject({ code: 'ROW_MISSING' });
    await expect(apiKeys.revoke('none', NOW)).rejects.toMatchObject({ code: 'ROW_MISSING' });
  });

  test('what ended long ago is not for the cache', async () => {
    const { apiKeys } = await open();
    await apiKeys.insert(keyOf('cache-live'));
    await apiKeys.insert(keyOf('cache-late', { expiresAtMs: NOW - DAY_MS + 1 }));
    await apiKeys.insert(keyOf('cache-old', { expiresAtMs: NOW - DAY_MS }));
    await apiKeys.insert(keyOf('cache-revoked'));
    await apiKeys.revoke('cache-revoked', NOW - DAY_MS);
    const ids = (await apiKeys.all()).map(({ id }) => id).filter((id) => id.startsWith('cache-'));
    expect(ids).toEqual(['cache-late', 'cache-live']);
  });

  test('use is noted, and never earlier than before', async () => {
    const { apiKeys } = await open();
    await apiKeys.insert(keyOf('used'));
    await apiKeys.noteUsed(['used', 'none', 'used'], NOW + 10);
    await apiKeys.noteUsed(['used'], NOW + 5);
    await apiKeys.noteUsed([], NOW + 50);
    expect(await apiKeys.get('used')).toMatchObject({ lastUsedAtMs: NOW + 10 });
  });

  test('pages are newest first, and leave none out that were made at once', async () => {
    const { apiKeys } = await open();
    for (const n of [1, 2, 3, 4, 5]) await apiKeys.insert(keyOf(`page-${n}`, { createdAtMs: NOW + 1_000 }));
    const ids: string[] = [];
    let cursor: string | null = null;
    for (let pages = 0; pages < 3; pages++) {
      const page: Awaited<ReturnType<typeof apiKeys.list>> = await apiKeys.list({ limit: 2, cursor });
      ids.push(...page.items.map(({ id }) => id));
      cursor = page.next;
    }
    expect(ids.slice(0, 5)).toEqual(['page-5', 'page-4', 'page-3', 'page-2', 'page-1']);
  });
});
