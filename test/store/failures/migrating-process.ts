/** Opens a database, and so migrates it when it is the first; says what it applied. */
import { openDatabase } from '../../../src/store/open-database.ts';

const [dataDir = '', databaseUrl = ''] = process.argv.slice(2);
const applied: unknown[] = [];
const log = {
  info: (fields: object, message: string) => message === 'database migrated' && applied.push(fields),
  warn: () => undefined,
  error: () => undefined,
};
// All of them wait here, so that they begin together.
console.log('ready');
for await (const _text of process.stdin);
const database = await openDatabase({
  databaseUrl: databaseUrl === '' ? null : databaseUrl,
  dataDir,
  poolMax: 2,
  statementTimeoutMs: 5_000,
  log,
  now: Date.now,
});
await database.agents.insert(`agent-${process.pid}`, '{}', 'test', Date.now());
await database.close();
console.log(applied.length);
