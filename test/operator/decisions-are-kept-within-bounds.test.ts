import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type DecisionLog,
  type DropReason,
  openDecisionLog,
} from '../../src/operator/telemetry/decision-log.ts';
import { decisionRow } from '../../src/operator/telemetry/decision-row.ts';
import { createLogger } from '../../src/operator/telemetry/logging.ts';
import type { Database } from '../../src/store/database.ts';
import { openDatabase } from '../../src/store/open-database.ts';
import { until } from '../support/gateway.ts';
import { createLines, record } from './support.ts';

const DAY_MS = 86_400_000;
const NOW = 1_760_000_000_000;
const WAITING_MAX = 2_000;
const context = { node: 'test', scrub: (text: string) => text, reasonOf: () => '' };
const lines = createLines();
const logger = createLogger({ level: 'info', destination: lines });

let folder: string;
let database: Database;
let log: DecisionLog | null = null;
let monotonicMs: number;
let dropped: Map<DropReason, number>;
let written: number;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sage-decisions-'));
  monotonicMs = 0;
  dropped = new Map();
  written = 0;
  database = await openDatabase({
    databaseUrl: null,
    dataDir: folder,
    poolMax: 1,
    statementTimeoutMs: 2_000,
    log: logger,
    now: Date.now,
  });
});
afterEach(async () => {
  await log?.close();
  log = null;
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(keep: { rows: number; days: number }, perSecond = 200): DecisionLog {
  return openDecisionLog({
    ...context,
    rows: database.decisions,
    perSecond,
    keep,
    log: logger,
    onWritten: (rows) => {
      written += rows;
    },
    onDropped: (reason, rows) => dropped.set(reason, (dropped.get(reason) ?? 0) + rows),
    now: () => NOW,
    monotonicNow: () => monotonicMs,
    random: Math.random,
  });
}

const idOf = (n: number): string => `req-${String(n).padStart(6, '0')}`;
const rowAt = (n: number, atMs: number) =>
  decisionRow(record({ requestId: idOf(n), receivedAtMs: atMs }), context);
const all = async () => (await database.decisions.list({}, { limit: 500, cursor: null })).items;

test('the oldest are removed beyond the rows, and beyond the days', async () => {
  const old = Array.from({ length: 30 }, (_, n) => rowAt(n, NOW - 31 * DAY_MS - n));
  const fresh = Array.from({ length: 100 }, (_, n) => rowAt(100 + n, NOW - n));
  await database.decisions.append([...old, ...fresh]);
  log = open({ rows: 50, days: 30 });
  const left = await until(
    async () => {
      const rows = await all();
      return rows.length === 50 && rows;
    },
    'fifty are left',
    10_000,
  );
  expect(left.map(({ requestId }) => requestId)).toEqual(Array.from({ length: 50 }, (_, n) => idOf(100 + n)));
});

test('those of within the days stay when there is room', async () => {
  await database.decisions.append([rowAt(1, NOW - 31 * DAY_MS), rowAt(2, NOW - 29 * DAY_MS)]);
  log = open({ rows: 50, days: 30 });
  await until(async () => (await all()).length === 1, 'the older is removed', 10_000);
  expect((await all())[0]?.requestId).toBe(idOf(2));
});

test('a database that takes none leaves a bounded number of the newest waiting', async () => {
  await database.close();
  log = open({ rows: 50, days: 30 });
  const offered = 15 * 200;
  for (let n = 0; n < offered; n++) {
    log.finished(record({ requestId: idOf(n), code: 'signature_invalid' }));
    if (n % 200 !== 199) continue;
    // A second later its whole budget may be used again.
    monotonicMs += 1_000;
    log.find('');
  }
  const kept = Array.from({ length: offered }, (_, n) => n).filter((n) => log?.find(idOf(n)) !== null);
  expect(kept.length).toBe(WAITING_MAX);
  expect(kept[0]).toBe(offered - WAITING_MAX);
  expect(dropped.get('store')).toBe(offered - WAITING_MAX);
  await log.close();
  expect(dropped.get('shutdown')).toBe(WAITING_MAX);
  expect(written).toBe(0);
});

test('whatever a stranger writes into a request becomes a bounded row that the database takes', async () => {
  log = open({ rows: 50, days: 30 });
  const hostile = `\u0000\u001b[31m${'\ud800'}${'é'.repeat(5_000)}`;
  log.finished(
    record({
      requestId: idOf(1),
      path: `/agents/${hostile}`,
      method: hostile,
      agentId: hostile,
      internalReason: hostile,
      shadowRules: Array.from({ length: 500 }, () => hostile),
      receivedAtMs: NOW,
    }),
  );
  await until(() => written === 1, 'it is written');
  const row = await database.decisions.get(idOf(1));
  const text = JSON.stringify(row);
  expect(Buffer.byteLength(text)).toBeLessThan(32_768);
  expect(text).not.toMatch(/\\u0000|\\u001b|\\ud800/);
  expect(dropped.size).toBe(0);
});
