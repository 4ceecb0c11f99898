import { createAdmission } from '../../../src/gateway/admission/admission.ts';
import type { Verdict } from '../../../src/gateway/admission/verdict.ts';
import { createBlocks } from '../../../src/store/blocks.ts';
import { createLimits } from '../../../src/store/limits.ts';
import { keptLog, smallTable } from '../../store/support.ts';

export const NOW = 1_800_000_000_000;

/** Admission of a node that is alone. */
export function alone(counters = 4_096) {
  const table = smallTable({ counters }, NOW);
  const blocks = createBlocks({ table, redis: null, now: () => NOW, log: keptLog() });
  const limits = createLimits(table, null);
  return { admission: createAdmission(limits, blocks, 300), limits, blocks };
}

/** The verdict of a node that is alone is there at once. */
export function atOnce(verdict: Verdict | Promise<Verdict>): Verdict {
  if (verdict instanceof Promise) throw new Error('a node alone decides at once');
  return verdict;
}
