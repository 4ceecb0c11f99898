import type { DatabaseSync } from 'node:sqlite';
import type { MigrationPort, MigrationSession } from '../migrations.ts';
import { bindable, ordered } from './dialect.ts';

/** BEGIN IMMEDIATE is the lock: it waits for other processes as long as the file was opened to wait. */
export function sqliteMigrationPort(database: DatabaseSync): MigrationPort {
  const session: MigrationSession = {
    query(sql, values = []) {
      const { text, order } = bindable(sql);
      return database.prepare(text).all(...ordered(order, values));
    },
    script: (sql) => database.exec(sql),
  };
  return {
    kind: 'sqlite',
    unlocked: (work) => work(session),
    async locked(work) {
      database.exec('begin immediate');
      try {
        const answer = await work(session);
        database.exec('commit');
        return answer;
      } catch (error) {
        if (database.isTransaction) database.exec('rollback');
        throw error;
      }
    },
  };
}
