import { describe, expect, test } from 'vitest';
import { toAgent } from '../../src/agents/entry.ts';
import { AGENTS_MAX, mergeAgents } from '../../src/agents/stored-agents.ts';
import type { AgentRow } from '../../src/store/database.ts';

const row = (id: string, definition: unknown): AgentRow => ({
  id,
  definition: typeof definition === 'string' ? definition : JSON.stringify(definition),
  version: 1,
  createdAtMs: 0,
  updatedAtMs: 0,
  updatedBy: 'key:test',
});
const entry = (id: string) => ({ id, upstreams: ['http://127.0.0.1:9100'] });
const pattern = (text: string) => (text.startsWith('did:bad') ? 'a bad pattern' : null);

describe('agents of the file and of the store', () => {
  test('both are served, those of the file first; the file wins and the row is told of', () => {
    const file = [toAgent({ ...entry('one'), retries: 5 })];
    const { definitions, stored } = mergeAgents(
      file,
      [row('one', entry('one')), row('two', entry('two'))],
      pattern,
    );
    expect(definitions.map(({ id, retries }) => [id, retries])).toEqual([
      ['one', 5],
      ['two', 1],
    ]);
    expect(stored.map(({ row: { id }, shadowed, fault }) => [id, shadowed, fault])).toEqual([
      ['one', true, ''],
      ['two', false, ''],
    ]);
  });

  test.each([
    ['no JSON', '{"id":', /JSON/],
    ['null', 'null', /./],
    ['an unknown member', { ...entry('bad'), colour: 'red' }, /./],
    ['no upstream', { id: 'bad', upstreams: [] }, /upstreams/],
    ['an upstream with a path', { id: 'bad', upstreams: ['http://127.0.0.1/x'] }, /origin/],
    ['an allow pattern of no meaning', { ...entry('bad'), allow: ['did:bad:*'] }, /a bad pattern/],
    ['another id', entry('other'), /of another agent, other/],
    ['ten thousand levels', `${'['.repeat(10_000)}${']'.repeat(10_000)}`, /./],
  ])('a row with %s is left out and says why; the others are served', (_what, definition, fault) => {
    const { definitions, stored } = mergeAgents(
      [],
      [row('bad', definition), row('good', entry('good'))],
      pattern,
    );
    expect(definitions.map(({ id }) => id)).toEqual(['good']);
    expect(stored[0]).toMatchObject({ definition: null, fault: expect.stringMatching(fault) });
    expect(stored[1]).toMatchObject({ fault: '' });
  });

  test('there are never more than the gateway takes', () => {
    const rows = Array.from({ length: AGENTS_MAX }, (_, at) => row(`a${at}`, entry(`a${at}`)));
    const { definitions, stored } = mergeAgents([toAgent(entry('file'))], rows, pattern);
    expect(definitions).toHaveLength(AGENTS_MAX);
    expect(stored.at(-1)).toMatchObject({ definition: null, fault: expect.stringContaining('more than') });
  });
});
