/** What operators see of the database: its standing when scraped, and how long each group of calls took. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { DatabaseStatus } from '../../store/database.ts';
import { OPERATIONS } from '../../store/executor.ts';
import type { StoreCall } from '../../store/watched-driver.ts';
import { FoldedHistogram } from './histogram.ts';

/** From a row in the cache of the disk to a statement that its timeout ends. */
const STATEMENT_SECONDS = [
  0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];
/** What counts as a failure of the database; that a row is missing or was changed is an answer. */
const FAILURES = ['unavailable', 'read_only', 'full', 'busy', 'defect'] as const;

export interface DatabaseMetrics {
  readonly storeCalled: (event: StoreCall) => void;
}

/** @param status null while there is no database yet */
export function createDatabaseMetrics(
  registry: Registry,
  status: () => DatabaseStatus | null,
): DatabaseMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, read: (now: DatabaseStatus) => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const now = status();
        if (now === null) this.remove();
        else this.set(read(now));
      },
    });
  };
  gauge('sage_database_up', '1 while the database answers.', ({ connected }) => Number(connected));
  gauge('sage_database_writable', '1 while it takes writes.', ({ connected, writable }) =>
    Number(connected && writable),
  );
  gauge('sage_database_waiting', 'Calls that wait for a connection or for the writer.', (now) => now.waiting);
  gauge('sage_database_connections_in_use', 'Connections in use; 0 or 1 for SQLite.', (now) => now.inUse);
  gauge('sage_database_connections_max', 'DATABASE_POOL_MAX; 1 for SQLite.', (now) => now.size);
  new Counter({
    name: 'sage_database_shed_total',
    help: 'Calls refused because too many waited.',
    registers,
    collect() {
      this.reset();
      this.inc(status()?.shed ?? 0);
    },
  });
  const seconds = new FoldedHistogram({
    name: 'sage_database_statement_seconds',
    help: 'Time of a call, its waiting included, by what it was about.',
    labelNames: ['operation'],
    buckets: STATEMENT_SECONDS,
  });
  registry.registerMetric(seconds);
  const series = new Map(OPERATIONS.map((operation) => [operation, seconds.child({ operation })]));
  const failures = new Counter({
    name: 'sage_database_failures_total',
    help: 'Calls that failed, by kind.',
    labelNames: ['failure'],
    registers,
  });
  for (const failure of FAILURES) failures.inc({ failure }, 0);
  return {
    storeCalled({ operation, ms, failure }) {
      series.get(operation)?.observe(ms / 1000);
      const kind = FAILURES.find((one) => one === failure);
      if (kind !== undefined) failures.inc({ failure: kind });
    },
  };
}
