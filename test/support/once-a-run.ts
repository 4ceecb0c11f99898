/**
 * Vitest's global set-up: a folder for what is made once a run and shared by test files, which run in processes of
 * their own. Nothing is made before the first file asks.
 */
import { existsSync, mkdtempSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres, type TestPostgres } from './postgres-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly sharedFolder: string;
  }
}

/** A file that asks for PostgreSQL writes the first; the second then says where it is. */
export const WANTED_FILE = 'postgres.wanted';
export const SHARED_FILE = 'postgres.json';

export default function setUp(project: TestProject): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sage-shared-'));
  project.provide('sharedFolder', folder);
  let postgres: Promise<TestPostgres | null> | null = null;
  const watcher = watch(folder, () => {
    if (postgres === null && existsSync(join(folder, WANTED_FILE))) postgres = sharePostgres(folder);
  });
  return async () => {
    watcher.close();
    await (await postgres)?.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}

async function sharePostgres(folder: string): Promise<TestPostgres | null> {
  const tell = (said: object): void => {
    writeFileSync(join(folder, `${SHARED_FILE}.new`), JSON.stringify(said), { mode: 0o600 });
    renameSync(join(folder, `${SHARED_FILE}.new`), join(folder, SHARED_FILE));
  };
  try {
    const postgres = await startPostgres();
    tell({ port: postgres.port, password: postgres.password });
    return postgres;
  } catch (error) {
    tell({ error: String(error) });
    return null;
  }
}
