/** Opens a database where nothing can be written, and says what it fails with. */
import { openDatabase } from '../../../src/store/open-database.ts';

const [dataDir = ''] = process.argv.slice(2);
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const options = { databaseUrl: null, dataDir, poolMax: 1, statementTimeoutMs: 1_000, log, now: Date.now };
const started = performance.now();
try {
  const database = await openDatabase(options);
  await database.close();
  console.log(JSON.stringify({ code: '', message: '', ms: 0 }));
} catch (error) {
  const { message } = error as Error;
  console.log(
    JSON.stringify({ code: Reflect.get(error as Error, 'code'), message, ms: performance.now() - started }),
  );
}
