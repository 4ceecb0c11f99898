import { expect, test } from 'vitest';
import { NOW, onEveryDatabase } from './support.ts';

onEveryDatabase(({ open }) => {
  const keep = { rows: 300, sinceMs: NOW - 100 };

  test('the last list of a node decides, and those of several stand side by side', async () => {
    const [{ frequentDids: one }, { frequentDids: two }] = await Promise.all([open(), open()]);
    expect(await one.load(10)).toEqual([]);
    await one.save(['did:b', 'did:a', 'did:c'], NOW, keep);
    await two.save(['did:d', 'did:c'], NOW, keep);
    expect(await one.load(10)).toEqual(['did:b', 'did:d', 'did:a', 'did:c']);
    await one.save(['did:c', 'did:b'], NOW + 1, keep);
    expect(await two.load(10)).toEqual(['did:c', 'did:d', 'did:a', 'did:b']);
    expect(await two.load(2)).toEqual(['did:c', 'did:d']);
  });

  test('what nobody noted again goes, and so does what is too many', async () => {
    const { frequentDids } = await open();
    await frequentDids.save(['did:new'], NOW + 101, { ...keep, sinceMs: NOW + 101 });
    expect(await frequentDids.load(10)).toEqual(['did:new']);
    const many = Array.from({ length: 1_000 }, (_did, n) => `did:x:${String(n).padStart(4, '0')}`);
    await frequentDids.save(many, NOW + 102, keep);
    const kept = await frequentDids.load(1_000);
    expect(kept).toHaveLength(300);
    expect(kept.slice(0, 3)).toEqual(['did:new', 'did:x:0000', 'did:x:0001']);
  });

  test('two nodes that save at once do not stand in each other’s way', async () => {
    const nodes = await Promise.all([open(), open()]);
    const list = Array.from({ length: 250 }, (_did, n) => `did:y:${n}`);
    await Promise.all(
      nodes.flatMap(({ frequentDids }) => [
        frequentDids.save(list, NOW + 200, keep),
        frequentDids.save(list.toReversed(), NOW + 200, keep),
      ]),
    );
    expect(await nodes[0]!.frequentDids.load(1_000)).toHaveLength(300);
  });
});
