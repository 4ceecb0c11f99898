import { expect, test } from 'vitest';
import { NOW, onEveryDatabase } from './support.ts';

const rowOf = (revision: string, text: string | null = `text of ${revision}`) => ({
  revision,
  text,
  note: `note of ${revision}`,
  createdAtMs: NOW,
  createdBy: 'key:one',
});

onEveryDatabase(({ open }) => {
  test('each is one more, made from what was latest', async () => {
    const { policies } = await open();
    expect(await policies.latest()).toBeNull();
    await expect(policies.insert(rowOf('a'), 1)).rejects.toMatchObject({ code: 'ROW_CHANGED' });
    expect(await policies.insert(rowOf('a'), 0)).toEqual({ sequence: 1, ...rowOf('a') });
    expect(await policies.insert(rowOf('b'), 1)).toMatchObject({ sequence: 2 });
    await expect(policies.insert(rowOf('c'), 1)).rejects.toMatchObject({ code: 'ROW_CHANGED' });
    expect(await policies.insert(rowOf('c', null), null)).toMatchObject({ sequence: 3, text: null });
    expect(await policies.latest()).toEqual({ sequence: 3, ...rowOf('c', null) });
    expect(await policies.get(2)).toEqual({ sequence: 2, ...rowOf('b') });
    expect(await policies.get(4)).toBeNull();
  });

  test('of several nodes that replace the same, one does; unconditional ones all do', async () => {
    const nodes = await Promise.all([open(), open(), open()]);
    const latest = (await nodes[0]!.policies.latest())?.sequence ?? 0;
    const outcomes = await Promise.allSettled(
      nodes.map(({ policies }) => policies.insert(rowOf('r'), latest)),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'ROW_CHANGED' });
    }
    const all = await Promise.all(nodes.map(({ policies }) => policies.insert(rowOf('s'), null)));
    const sequences = all.map(({ sequence }) => sequence - latest);
    expect(sequences.sort((a, b) => a - b)).toEqual([2, 3, 4]);
  });

  test('the last hundred are kept, and listed without their texts', async () => {
    const { policies } = await open();
    const from = (await policies.latest())?.sequence ?? 0;
    for (let n = 1; n <= 103; n++) await policies.insert(rowOf(`n${n}`), null);
    const first = await policies.list({ limit: 60, cursor: null });
    const second = await policies.list({ limit: 60, cursor: first.next });
    const rows = [...first.items, ...second.items];
    expect(rows.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: 100 }, (_row, at) => from + 103 - at),
    );
    expect(second.next).toBeNull();
    expect(rows.every(({ text, note }) => text === null && note !== '')).toBe(true);
    expect(await policies.get(from + 4)).toMatchObject({ text: 'text of n4' });
    expect(await policies.get(from + 3)).toBeNull();
  });
});
