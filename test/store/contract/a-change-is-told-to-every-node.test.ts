import { expect, test } from 'vitest';
import type { Topic } from '../../../src/store/database.ts';
import { until } from '../../support/gateway.ts';
import { NOW, onEveryDatabase } from './support.ts';

const POLICY = { revision: 'a', text: '', note: '', createdAtMs: NOW, createdBy: 'key:one' };
const KEY = {
  id: 'k',
  name: 'n',
  role: 'viewer',
  scopes: null,
  secrets: [{ hash: 'h', expiresAtMs: null }],
  createdAtMs: NOW,
  createdBy: 'key:one',
  expiresAtMs: null,
};

onEveryDatabase(({ kind, open }) => {
  test('who wrote hears it before the write is answered, the others soon', async () => {
    const here = await open();
    const there = await open();
    const heardHere: Topic[] = [];
    const heardThere: Topic[] = [];
    here.onChange((topic) => heardHere.push(topic));
    there.onChange((topic) => heardThere.push(topic));

    await here.agents.insert('a', '{}', 'key:one', NOW);
    expect(heardHere).toEqual(['agents']);
    const started = performance.now();
    await until(() => heardThere.includes('agents'), 'the other node hears of the agent', 4_000);
    // By NOTIFY it is at once; only the poll stands behind a file.
    if (kind === 'postgresql') expect(performance.now() - started).toBeLessThan(1_000);

    await here.policies.insert(POLICY, null);
    await here.apiKeys.insert(KEY);
    await here.apiKeys.revoke('k', NOW);
    expect(heardHere).toEqual(['agents', 'policy', 'api_keys', 'api_keys']);
    await until(() => heardThere.includes('policy') && heardThere.includes('api_keys'), 'the rest', 4_000);
    expect(heardThere).not.toContain('revocations');
  });

  test('what was not written is not told, nor what no other node keeps', async () => {
    const database = await open();
    const { agents, apiKeys, decisions, checkpoints } = database;
    const heard: Topic[] = [];
    database.onChange((topic) => heard.push(topic));
    await expect(agents.remove('none', null)).rejects.toMatchObject({ code: 'ROW_MISSING' });
    await apiKeys.noteUsed(['k'], NOW + 1);
    await decisions.append([]);
    await checkpoints.save(1, { number: 1, hash: '0x' });
    expect(heard).toEqual([]);
  });

  test('a listener that throws takes nothing from the next, and one that left hears nothing', async () => {
    const database = await open();
    const heard: string[] = [];
    database.onChange(() => {
      throw new Error('defect of a listener');
    });
    const stop = database.onChange(() => heard.push('left'));
    database.onChange(() => heard.push('stayed'));
    stop();
    await database.agents.insert('b', '{}', 'key:one', NOW);
    expect(heard).toEqual(['stayed']);
  });
});
