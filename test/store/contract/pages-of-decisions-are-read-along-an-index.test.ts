import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { expect, test } from 'vitest';
import type { DecisionFilter } from '../../../src/store/database.ts';
import { decisionsQuery } from '../../../src/store/rows/decisions.ts';
import { bindable, ordered } from '../../../src/store/sqlite/dialect.ts';
import { decisionRow } from '../failures/rows.ts';
import { NOW, onEveryDatabase } from './support.ts';

const PLANS: readonly (readonly [filter: DecisionFilter, index: string])[] = [
  [{}, 'decisions_by_time'],
  [{ did: 'did:web:7.example' }, 'decisions_by_did'],
  [{ agentId: 'agent-7' }, 'decisions_by_agent'],
  [{ address: '192.0.2.7' }, 'decisions_by_address'],
  [{ code: 'code-7' }, 'decisions_by_code'],
  [{ ruleId: 'rule-7' }, 'decisions_by_rule'],
  [{ fromMs: NOW + 5, toMs: NOW + 500 }, 'decisions_by_time'],
  [{ did: 'did:web:7.example', fromMs: NOW + 5, toMs: NOW + 500 }, 'decisions_by_did'],
  // Few rows differ by these, and the log is bounded.
  [{ effect: 'deny' }, 'decisions_by_time'],
  [{ statusMin: 400, statusMax: 499 }, 'decisions_by_time'],
];

onEveryDatabase(({ kind, open, place }) => {
  /** The plan's lines, for the second page. */
  async function planner(): Promise<(filter: DecisionFilter) => Promise<string>> {
    const { options } = await place();
    const queryOf = (filter: DecisionFilter) => decisionsQuery(filter, 50, [NOW + 400, 'r-400']);
    if (kind === 'sqlite') {
      const file = new DatabaseSync(join(options.dataDir, 'sage.db'));
      return async (filter) => {
        const { sql, values } = queryOf(filter);
        const { text, order } = bindable(sql);
        const rows = file.prepare(`explain query plan ${text}`).all(...ordered(order, values));
        return rows.map(({ detail }) => String(detail)).join('\n');
      };
    }
    return async (filter) => {
      const client = new pg.Client({ connectionString: options.databaseUrl ?? '' });
      await client.connect();
      try {
        const { sql, values } = queryOf(filter);
        const { rows } = await client.query(`explain ${sql}`, [...values]);
        return rows.map((row: Record<string, unknown>) => String(row['QUERY PLAN'])).join('\n');
      } finally {
        await client.end();
      }
    };
  }

  test('each filter has the index that serves it, in the order of the page', async () => {
    const { decisions } = await open();
    const rows = Array.from({ length: 20_000 }, (_row, n) =>
      decisionRow(`r-${n}`, {
        atMs: NOW + n,
        did: `did:web:${n % 500}.example`,
        agentId: `agent-${n % 500}`,
        address: `192.0.2.${n % 500}`,
        code: `code-${n % 500}`,
        ruleId: `rule-${n % 500}`,
      }),
    );
    await decisions.append(rows);
    if (kind === 'postgresql') {
      // What autovacuum does soon by itself.
      const client = new pg.Client({ connectionString: (await place()).options.databaseUrl ?? '' });
      await client.connect();
      await client.query('analyze decisions');
      await client.end();
    }
    const plan = await planner();
    for (const [filter, index] of PLANS) {
      const said = await plan(filter);
      expect(said, JSON.stringify(filter)).toContain(index);
      expect(said, JSON.stringify(filter)).not.toMatch(/sort|temp b-tree|seq scan/i);
    }
  }, 60_000);
});
