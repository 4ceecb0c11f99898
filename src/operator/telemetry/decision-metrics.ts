import { Counter, type Registry } from 'prom-client';
import { DROP_REASONS, type DropReason } from './decision-log.ts';

export interface DecisionMetrics {
  readonly decisionsWritten: (rows: number) => void;
  readonly decisionsDropped: (reason: DropReason, rows: number) => void;
}

/** What the log of decisions wrote, and what it left out and why. */
export function createDecisionMetrics(registry: Registry): DecisionMetrics {
  const registers = [registry];
  const written = new Counter({
    name: 'sage_decisions_written_total',
    help: 'Decisions written to the database.',
    registers,
  });
  const dropped = new Counter({
    name: 'sage_decisions_dropped_total',
    help: 'Decisions that were not written, by reason.',
    labelNames: ['reason'],
    registers,
  });
  for (const reason of DROP_REASONS) dropped.inc({ reason }, 0);
  return {
    decisionsWritten: (rows) => written.inc(rows),
    decisionsDropped: (reason, rows) => dropped.inc({ reason }, rows),
  };
}
