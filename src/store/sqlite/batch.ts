/** Runs what was asked: reads as they are, all writes of a batch in one transaction, each in a savepoint of its own. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Result, Statement } from '../executor.ts';
import { type Fault, faultError, faultIn } from '../faults.ts';
import { bindable, faultOf, identityOf, isTaken, ordered } from './dialect.ts';
import type { Answer, Call } from './messages.ts';

/** Texts are few (filters of the decision log make the most); what is beyond is prepared anew. */
const PREPARED_MAX = 256;

interface Prepared {
  readonly statement: StatementSync;
  readonly order: readonly number[];
  /** Whether it answers rows. */
  readonly answers: boolean;
}

export interface Batches {
  reads(calls: readonly Call[]): Answer[];
  writes(calls: readonly Call[]): Answer[];
  /** What is wrong when the file was removed or replaced: what is open then takes writes that nobody will ever read. */
  gone(): Fault | null;
}

/** @param file the path that `database` was opened at */
export function createBatches(database: DatabaseSync, file: string): Batches {
  const prepared = new Map<string, Prepared>();
  const identity = identityOf(file);

  function prepare(sql: string): Prepared {
    let found = prepared.get(sql);
    if (found === undefined) {
      const { text, order } = bindable(sql);
      const statement = database.prepare(text);
      found = { statement, order, answers: statement.columns().length > 0 };
      if (prepared.size >= PREPARED_MAX) prepared.clear();
      prepared.set(sql, found);
    }
    return found;
  }

  function run({ sql, values, whenNone, whenTaken }: Statement): Result {
    const { statement, order, answers } = prepare(sql);
    const bound = ordered(order, values);
    let result: Result;
    try {
      if (answers) {
        const rows = statement.all(...bound);
        result = { rows, changes: rows.length };
      } else {
        result = { rows: [], changes: Number(statement.run(...bound).changes) };
      }
    } catch (error) {
      throw whenTaken !== undefined && isTaken(error) ? faultError(whenTaken) : error;
    }
    if (whenNone !== undefined && result.changes === 0) throw faultError(whenNone);
    return result;
  }

  const explain = (error: unknown): Fault => faultIn(error) ?? faultOf(error, file);

  const gone = (): Fault | null =>
    identityOf(file) === identity ? null : { kind: 'unavailable', text: `${file} was removed or replaced` };

  function assertInPlace(): void {
    const fault = gone();
    if (fault !== null) throw faultError(fault);
  }

  function inSavepoint({ id, statements }: Call): Answer {
    database.exec('savepoint call');
    try {
      const results = statements.map(run);
      database.exec('release call');
      return { id, results };
    } catch (error) {
      // A full disk, for one, has rolled back the whole transaction already.
      if (!database.isTransaction) throw error;
      database.exec('rollback to call; release call');
      return { id, fault: explain(error) };
    }
  }

  function transaction(calls: readonly Call[]): Answer[] {
    database.exec('begin immediate');
    try {
      assertInPlace();
      const answers = calls.map(inSavepoint);
      database.exec('commit');
      assertInPlace();
      return answers;
    } catch (error) {
      if (database.isTransaction) database.exec('rollback');
      throw error;
    }
  }

  function writes(calls: readonly Call[]): Answer[] {
    try {
      return transaction(calls);
    } catch (error) {
      const fault = explain(error);
      // What does not fit together may fit alone. A lock would be waited for once more by each, so all hear of it.
      if (calls.length === 1 || fault.kind === 'busy') return calls.map(({ id }) => ({ id, fault }));
      return calls.flatMap((call) => writes([call]));
    }
  }

  return {
    gone,
    writes,
    reads(calls) {
      return calls.map(({ id, statements }) => {
        try {
          assertInPlace();
          return { id, results: statements.map(run) };
        } catch (error) {
          return { id, fault: explain(error) };
        }
      });
    },
  };
}
