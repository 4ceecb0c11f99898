import { expect, test } from 'vitest';
import { NOW, onEveryDatabase } from './support.ts';

const ALICE = 'did:sage:eip155:1:0xaa:1';
const BOB = 'did:sage:eip155:1:0xaa:2';
const hash = (n: number): string => `0x${n.toString(16)}`;

onEveryDatabase(({ open }) => {
  test('the greatest block wins, whoever writes it and in whatever order', async () => {
    const [{ tombstones }, other] = await Promise.all([open(), open()]);
    const note = (rows: typeof tombstones, blockNumber: number, blockHash = hash(blockNumber)) =>
      rows.note([{ chainId: 1, did: ALICE, blockNumber, blockHash }], NOW);
    expect(await tombstones.find(1, ALICE)).toBeNull();
    await note(tombstones, 10);
    await note(other.tombstones, 12);
    await note(tombstones, 11);
    await note(tombstones, 12, '0xother');
    for (const { tombstones: rows } of [{ tombstones }, other])
      expect(await rows.find(1, ALICE)).toEqual({ blockNumber: 12, blockHash: hash(12) });
    expect(await tombstones.find(1, BOB)).toBeNull();
    expect(await tombstones.find(8453, ALICE)).toBeNull();
  });

  test('that of a whole chain stands for each of its DIDs', async () => {
    const { tombstones } = await open();
    const rows = [
      { chainId: 2, did: '', blockNumber: 50, blockHash: '' },
      { chainId: 2, did: ALICE, blockNumber: 60, blockHash: hash(60) },
      { chainId: 2, did: BOB, blockNumber: 40, blockHash: hash(40) },
    ];
    await tombstones.note(rows, NOW);
    expect(await tombstones.find(2, ALICE)).toEqual({ blockNumber: 60, blockHash: hash(60) });
    expect(await tombstones.find(2, BOB)).toEqual({ blockNumber: 50, blockHash: '' });
    expect(await tombstones.find(2, 'did:sage:eip155:2:0xaa:9')).toMatchObject({ blockNumber: 50 });
    expect(await tombstones.find(3, BOB)).toBeNull();
  });

  test('many are written at once, by two nodes that do not wait for each other', async () => {
    const nodes = await Promise.all([open(), open()]);
    const rows = Array.from({ length: 200 }, (_row, n) => ({
      chainId: 4,
      did: `did:sage:eip155:4:0xaa:${n}`,
      blockNumber: n + 1,
      blockHash: hash(n),
    }));
    await Promise.all(
      nodes.flatMap(({ tombstones }) => [
        tombstones.note(rows, NOW),
        tombstones.note(rows.toReversed(), NOW),
      ]),
    );
    for (const { did, blockNumber } of rows)
      expect(await nodes[0]!.tombstones.find(4, did)).toMatchObject({ blockNumber });
  });

  test('what is too old goes; what is too many goes on standing for its whole chain', async () => {
    const { tombstones } = await open();
    await tombstones.trim({ rows: 1, sinceMs: NOW + 1 });
    const did = (n: number): string => `did:sage:eip155:5:0xaa:${n}`;
    for (const n of [1, 2, 3, 4, 5])
      await tombstones.note([{ chainId: 5, did: did(n), blockNumber: 10 * n, blockHash: hash(n) }], NOW + n);
    await tombstones.trim({ rows: 10, sinceMs: NOW + 2 });
    expect(await tombstones.find(5, did(1))).toBeNull();
    expect(await tombstones.find(5, did(2))).toMatchObject({ blockNumber: 20 });
    await tombstones.trim({ rows: 2, sinceMs: NOW + 2 });
    // The third is forgotten, and so believed in nothing from before it; nor is anybody else.
    for (const n of [1, 2, 3, 9])
      expect(await tombstones.find(5, did(n)), `${n}`).toEqual({ blockNumber: 30, blockHash: '' });
    expect(await tombstones.find(5, did(4))).toEqual({ blockNumber: 40, blockHash: hash(4) });
    expect(await tombstones.find(6, did(1))).toBeNull();
  });
});
