import { afterAll, beforeAll, test } from 'vitest';
import { ensurePostgres } from '../../support/ensure-postgres.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres-server.ts';

const absent = ensurePostgres() === null;

/** Skipped only where ALLOW_MISSING names postgres. */
export const postgresTest = test.skipIf(absent);

/** A server for the tests of one file, which may end it. */
export function ownPostgres(): () => TestPostgres {
  let server: TestPostgres | null = null;
  beforeAll(async () => {
    if (!absent) server = await startPostgres();
  });
  afterAll(() => server?.stop());
  return () => {
    if (server === null) throw new Error('the server is started before the tests');
    return server;
  };
}
