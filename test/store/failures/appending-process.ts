/** Appends decisions for ever, several batches at a time, and says which batches were acknowledged. */
import { openDatabase } from '../../../src/store/open-database.ts';
import { decisionRow } from './rows.ts';

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
async function append(worker: number): Promise<never> {
  for (let n = 0; ; n++) {
    const batch = `${worker}-${n}`;
    await database.decisions.append(Array.from({ length: 7 }, (_row, at) => decisionRow(`${batch}-${at}`)));
    console.log(batch);
  }
}
await Promise.all([0, 1, 2, 3].map(append));
