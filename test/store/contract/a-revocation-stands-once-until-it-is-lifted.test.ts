import { expect, test } from 'vitest';
import type { RevocationRow, RevocationRows } from '../../../src/store/database.ts';
import { NOW, onEveryDatabase } from './support.ts';

const rowOf = (id: string, more: Partial<RevocationRow> = {}): RevocationRow => ({
  id,
  did: `did:web:${id}.example`,
  keyId: null,
  reason: 'stolen',
  createdAtMs: NOW,
  createdBy: 'did:key:z6Mk',
  expiresAtMs: null,
  ...more,
});

const found = async (rows: RevocationRows, id: string) => (await rows.all()).find((row) => row.id === id);

onEveryDatabase(({ open }) => {
  test('a DID and each of its keys are denied once', async () => {
    const { revocations } = await open();
    const whole = rowOf('one');
    const key = rowOf('two', { did: whole.did, keyId: `${whole.did}#key-1`, expiresAtMs: NOW + 5 });
    await revocations.insert(whole);
    await revocations.insert(key);
    expect(await revocations.all()).toEqual([whole, key]);
    for (const again of [{ ...whole, id: 'three' }, { ...key, id: 'four' }, rowOf('one', { did: 'did:x:y' })])
      await expect(revocations.insert(again)).rejects.toMatchObject({ code: 'ROW_EXISTS' });
    expect(await revocations.all()).toHaveLength(2);
  });

  test('one that was lifted or has ended makes room for another', async () => {
    const { revocations } = await open();
    const row = rowOf('lift');
    await revocations.insert(row);
    await revocations.remove('lift');
    expect(await found(revocations, 'lift')).toBeUndefined();
    await expect(revocations.remove('lift')).rejects.toMatchObject({ code: 'ROW_MISSING' });

    await revocations.insert({ ...row, expiresAtMs: NOW + 10 });
    const again = { ...row, id: 'lift-2', createdAtMs: NOW + 9 };
    await expect(revocations.insert(again)).rejects.toMatchObject({ code: 'ROW_EXISTS' });
    await revocations.insert({ ...again, createdAtMs: NOW + 10 });
    expect(await found(revocations, 'lift')).toBeUndefined();
    expect(await found(revocations, 'lift-2')).toMatchObject({ did: row.did });
  });

  test('of several nodes that deny the same, one does', async () => {
    const nodes = await Promise.all([open(), open(), open()]);
    const did = 'did:web:race.example';
    const outcomes = await Promise.allSettled(
      nodes.map(({ revocations }, n) => revocations.insert(rowOf(`race-${n}`, { did }))),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const found = (await nodes[0]!.revocations.all()).filter((row) => row.did === did);
    expect(found).toHaveLength(1);
  });

  test('the oldest comes first, those of one moment by id', async () => {
    const { revocations } = await open();
    const moments = { late: NOW + 103, b: NOW + 101, a: NOW + 101 };
    for (const [id, createdAtMs] of Object.entries(moments))
      await revocations.insert(rowOf(`order-${id}`, { createdAtMs }));
    const ids = (await revocations.all()).map(({ id }) => id).filter((id) => id.startsWith('order-'));
    expect(ids).toEqual(['order-a', 'order-b', 'order-late']);
  });
});
