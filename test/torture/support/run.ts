/**
 * How much is tried: little and always the same in `npm test`, much and new in `npm run torture`. Every file reports what
 * it tried, so that a run which tried nothing shows.
 */
import { appendFileSync } from 'node:fs';

export const TORTURE = process.env.TORTURE === '1';
/** Of everything drawn at random; printed with every failure. */
export const SEED = Number(process.env.TORTURE_SEED ?? 20_261_126);

/** @param often in `npm test` @param long in `npm run torture` */
export function times(often: number, long: number): number {
  const factor = Number(process.env.TORTURE_FACTOR ?? 1);
  return TORTURE ? Math.ceil(long * factor) : often;
}

/** Notes what was tried, for the table at the end of `npm run torture`. */
export function report(
  what: string,
  tried: number,
  startedAt: number,
  outcomes: ReadonlyMap<string, number>,
): void {
  const ms = Math.round(performance.now() - startedAt);
  const said = [...outcomes].sort((a, b) => b[1] - a[1]).map(([outcome, count]) => `${outcome} ${count}`);
  const line = { what, tried, ms, seed: SEED, outcomes: said.join(', ') };
  const file = process.env.TORTURE_REPORT;
  if (file === undefined) console.log(`${what}: ${tried} in ${ms} ms, seed ${SEED}: ${line.outcomes}`);
  else appendFileSync(file, `${JSON.stringify(line)}\n`);
}

/** Counts by outcome. */
export function tally(outcomes: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return counts;
}
