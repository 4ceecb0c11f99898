/** The PostgreSQL server of a run, shared by its files. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import { until } from './gateway.ts';
import { SHARED_FILE, WANTED_FILE } from './once-a-run.ts';
import { connection, START_MS_MAX, type TestPostgres } from './postgres-server.ts';

/** The server of this run, started when the first file asks; only for tests that leave it as it is. */
export async function sharedPostgres(): Promise<Pick<TestPostgres, 'url' | 'createDatabase' | 'run'>> {
  const folder = inject('sharedFolder');
  writeFileSync(join(folder, WANTED_FILE), '');
  const file = join(folder, SHARED_FILE);
  const text = await until(
    () => existsSync(file) && readFileSync(file, 'utf8'),
    'the shared PostgreSQL of this run',
    START_MS_MAX,
  );
  const shared = JSON.parse(text) as { port: number; password: string } | { error: string };
  if ('error' in shared) throw new Error(shared.error);
  return connection(shared.port, shared.password);
}
