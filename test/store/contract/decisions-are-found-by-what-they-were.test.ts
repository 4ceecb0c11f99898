import { expect, test } from 'vitest';
import type { DecisionFilter, DecisionRow, DecisionRows } from '../../../src/store/database.ts';
import { NOW, onEveryDatabase } from './support.ts';

function rowOf(n: number, more: Partial<DecisionRow> = {}): DecisionRow {
  return {
    requestId: `r-${String(n).padStart(5, '0')}`,
    atMs: NOW + Math.floor(n / 3),
    traceId: 'a'.repeat(32),
    transport: 'http1',
    method: 'POST',
    path: '/agents/echo/x',
    address: `192.0.2.${n % 5}`,
    agentId: n % 2 === 0 ? 'echo' : 'weather',
    did: `did:web:c${n % 7}.example`,
    keyId: `did:web:c${n % 7}.example#1`,
    effect: n % 10 === 0 ? 'deny' : 'allow',
    ruleId: `rule-${n % 3}`,
    policyRevision: 'abc',
    status: n % 10 === 0 ? 403 : 200,
    code: n % 10 === 0 ? 'policy_denied' : '',
    detail: `{"n":${n}}`,
    ...more,
  };
}

async function walk(decisions: DecisionRows, filter: DecisionFilter, limit: number): Promise<DecisionRow[]> {
  const found: DecisionRow[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<DecisionRows['list']>> = await decisions.list(filter, { limit, cursor });
    found.push(...page.items);
    cursor = page.next;
  } while (cursor !== null);
  return found;
}

const newestFirst = (a: DecisionRow, b: DecisionRow): number =>
  b.atMs - a.atMs || (a.requestId < b.requestId ? 1 : -1);

const FILTERS: readonly (readonly [DecisionFilter, (row: DecisionRow) => boolean])[] = [
  [{}, () => true],
  [{ did: 'did:web:c3.example' }, ({ did }) => did === 'did:web:c3.example'],
  [{ agentId: 'echo' }, ({ agentId }) => agentId === 'echo'],
  [{ address: '192.0.2.1' }, ({ address }) => address === '192.0.2.1'],
  [{ code: 'policy_denied' }, ({ code }) => code === 'policy_denied'],
  [{ effect: 'deny' }, ({ effect }) => effect === 'deny'],
  [{ ruleId: 'rule-2' }, ({ ruleId }) => ruleId === 'rule-2'],
  [{ statusMin: 400, statusMax: 499 }, ({ status }) => status === 403],
  [{ fromMs: NOW + 10, toMs: NOW + 20 }, ({ atMs }) => atMs >= NOW + 10 && atMs < NOW + 20],
  [
    { did: 'did:web:c0.example', agentId: 'echo', effect: 'deny', fromMs: NOW + 1 },
    (row) =>
      row.did === 'did:web:c0.example' && row.agentId === 'echo' && row.effect === 'deny' && row.atMs > NOW,
  ],
];

onEveryDatabase(({ open }) => {
  test('every filter finds its rows, page by page, newest first', async () => {
    const { decisions } = await open();
    const rows = Array.from({ length: 237 }, (_row, n) => rowOf(n));
    await decisions.append(rows);
    for (const [filter, holds] of FILTERS) {
      const expected = rows.filter(holds).sort(newestFirst);
      expect(expected.length).toBeGreaterThan(0);
      expect(await walk(decisions, filter, 17), JSON.stringify(filter)).toEqual(expected);
    }
    expect(await decisions.get('r-00042')).toEqual(rows[42]);
    expect(await decisions.get('none')).toBeNull();
  });

  test('a row that stands there is left as it is', async () => {
    const { decisions } = await open();
    const row = rowOf(5_000);
    await decisions.append([row, { ...row, path: '/twice' }]);
    await decisions.append([{ ...row, path: '/again' }, rowOf(5_001)]);
    await decisions.append([]);
    expect(await decisions.get(row.requestId)).toEqual(row);
    expect(await decisions.get('r-05001')).not.toBeNull();
  });

  test('what a stranger made long is clipped, not refused', async () => {
    const { decisions } = await open();
    const long = 'x'.repeat(20_000);
    await decisions.append([rowOf(6_000, { did: long, path: long, address: long, atMs: NOW + 0.4 })]);
    const found = await decisions.get('r-06000');
    expect(found?.did.length).toBe(1_024);
    expect(found?.path.length).toBe(8_192);
    expect(found?.atMs).toBe(NOW);
  });

  test.each(['', 'x', '!', 'W10', 'WzEsMl0', 'WyJhIiwiYiJd', 'e30', 'a'.repeat(3_000)])(
    'a cursor that no page gave is refused: %.10s',
    async (cursor) => {
      const { decisions } = await open();
      await expect(decisions.list({}, { limit: 5, cursor })).rejects.toMatchObject({
        code: 'CURSOR_INVALID',
      });
    },
  );

  test('the oldest go, when they are too old or too many', async () => {
    const { decisions } = await open();
    while ((await decisions.trim({ rows: 0, sinceMs: 0 })) > 0);
    expect(await walk(decisions, {}, 500)).toEqual([]);
    await decisions.append(Array.from({ length: 90 }, (_row, n) => rowOf(n)));
    expect(await decisions.trim({ rows: 1_000, sinceMs: NOW + 10 })).toBe(30);
    expect(await decisions.trim({ rows: 1_000, sinceMs: NOW + 10 })).toBe(0);
    expect(await decisions.trim({ rows: 25, sinceMs: 0 })).toBe(35);
    const left = await walk(decisions, {}, 500);
    expect(left.map(({ requestId }) => requestId)).toEqual(
      Array.from({ length: 25 }, (_row, n) => rowOf(89 - n).requestId),
    );
  });

  test('one call removes a bounded number', async () => {
    const { decisions } = await open();
    await decisions.append(Array.from({ length: 6_000 }, (_row, n) => rowOf(10_000 + n)));
    const removed = await decisions.trim({ rows: 0, sinceMs: NOW + 1_000_000 });
    expect(removed).toBeGreaterThan(0);
    expect(removed).toBeLessThanOrEqual(2_000);
  });
});
