import { expect, test } from 'vitest';
import { onEveryDatabase } from './support.ts';

onEveryDatabase(({ open }) => {
  test('each chain has its own, and the next one replaces it', async () => {
    const { checkpoints } = await open();
    expect(await checkpoints.load(1)).toBeNull();
    await checkpoints.save(1, { number: 20_000_000, hash: '0xaa' });
    await checkpoints.save(8453, { number: 5, hash: '0xbb' });
    await checkpoints.save(1, { number: 19_999_999, hash: '0xcc' });
    const other = await open();
    expect(await other.checkpoints.load(1)).toEqual({ number: 19_999_999, hash: '0xcc' });
    expect(await other.checkpoints.load(8453)).toEqual({ number: 5, hash: '0xbb' });
  });
});
