import { expect, test } from 'vitest';
import { NOW, onEveryDatabase } from './support.ts';

onEveryDatabase(({ open }) => {
  test('an agent is added once, changed from the version that was read, and removed', async () => {
    const { agents } = await open();
    const added = await agents.insert('echo', '{"a":1}', 'key:one', NOW);
    expect(added).toEqual({
      id: 'echo',
      definition: '{"a":1}',
      version: 1,
      createdAtMs: NOW,
      updatedAtMs: NOW,
      updatedBy: 'key:one',
    });
    await expect(agents.insert('echo', '{}', 'key:two', NOW)).rejects.toMatchObject({ code: 'ROW_EXISTS' });

    const changed = await agents.update('echo', '{"a":2}', 1, 'key:two', NOW + 5);
    expect(changed).toMatchObject({
      version: 2,
      createdAtMs: NOW,
      updatedAtMs: NOW + 5,
      updatedBy: 'key:two',
    });
    await expect(agents.update('echo', '{"a":3}', 1, 'key:one', NOW)).rejects.toMatchObject({
      code: 'ROW_CHANGED',
    });
    expect(await agents.get('echo')).toEqual(changed);
    expect(await agents.update('echo', '{"a":4}', null, 'key:one', NOW + 6)).toMatchObject({ version: 3 });

    await expect(agents.remove('echo', 2)).rejects.toMatchObject({ code: 'ROW_CHANGED' });
    await agents.remove('echo', 3);
    expect(await agents.get('echo')).toBeNull();
    await expect(agents.remove('echo', null)).rejects.toMatchObject({ code: 'ROW_MISSING' });
    await expect(agents.update('echo', '{}', 3, 'key:one', NOW)).rejects.toMatchObject({
      code: 'ROW_MISSING',
    });
  });

  test('of two who change the same version, one is told', async () => {
    const one = await open();
    const two = await open();
    await one.agents.insert('race', '{}', 'key:one', NOW);
    const outcomes = await Promise.allSettled([
      one.agents.update('race', '{"by":1}', 1, 'key:one', NOW),
      two.agents.update('race', '{"by":2}', 1, 'key:two', NOW),
    ]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'ROW_CHANGED' },
    });
    expect(await one.agents.get('race')).toMatchObject({ version: 2 });
  });

  test('all of them come by id, as bytes order them', async () => {
    const { agents } = await open();
    for (const id of ['b', 'B', 'a-1', 'a', 'ä']) await agents.insert(id, '{}', 'key:one', NOW);
    const ids = (await agents.all()).map(({ id }) => id).filter((id) => id !== 'race');
    expect(ids).toEqual(['B', 'a', 'a-1', 'b', 'ä']);
  });

  test('what no text column can hold is made storable, alike everywhere', async () => {
    const { agents } = await open();
    await agents.insert('odd', 'nul \0 half \ud800 whole \u{1f600}', 'key:one', NOW);
    expect(await agents.get('odd')).toMatchObject({
      definition: 'nul \u{fffd} half \u{fffd} whole \u{1f600}',
    });
  });
});
