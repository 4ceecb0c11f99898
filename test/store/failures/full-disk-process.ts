/** Meets a full disk: fills it beside the database, tries to write, makes room, and says what happened. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '../../../src/store/open-database.ts';
import { decisionRow, revocationRow } from './rows.ts';

const [dataDir = ''] = process.argv.slice(2);
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const database = await openDatabase({
  databaseUrl: null,
  dataDir,
  poolMax: 1,
  statementTimeoutMs: 5_000,
  log,
  now: Date.now,
});
const codeOf = (error: unknown): unknown => (error instanceof Error ? Reflect.get(error, 'code') : error);
const outcome = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'written', codeOf);
const ballast = join(dataDir, 'ballast');

await database.revocations.insert(revocationRow('before'));
let filled = 0;
try {
  for (; ; filled += 4_096) writeFileSync(ballast, Buffer.alloc(4_096), { flag: 'a' });
} catch (error) {
  if (codeOf(error) !== 'ENOSPC') throw error;
}
const large = Array.from({ length: 2_000 }, (_row, n) => decisionRow(`large-${n}`));
// Both wait while something else is written, and so share one transaction.
const [, decisions, revocation] = await Promise.all([
  outcome(database.checkpoints.save(1, { number: 1, hash: '0x' })),
  outcome(database.decisions.append(large)),
  outcome(database.decisions.append(large.slice(0, 1_500))),
]);
const full = database.status();
const readable = (await database.revocations.all()).map(({ id }) => id);
const halves = (await database.decisions.list({}, { limit: 1, cursor: null })).items.length;
rmSync(ballast);
const deadline = Date.now() + 10_000;
while (!database.status().writable && Date.now() < deadline) await sleep(20);
const recovered = database.status().writable;
const after = await outcome(database.revocations.insert(revocationRow('after')));
await database.close();
const file = new DatabaseSync(join(dataDir, 'sage.db'));
const [integrity] = file.prepare('pragma integrity_check').all();
const kept = file.prepare('select id from revocations order by id').all();
console.log(
  JSON.stringify({
    filled,
    decisions,
    revocation,
    full,
    readable,
    halves,
    recovered,
    after,
    integrity,
    kept,
  }),
);
