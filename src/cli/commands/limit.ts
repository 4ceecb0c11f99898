/** `--limit` of commands that list. */
import type { Command } from 'commander';
import { wholeNumber } from '../numbers.ts';

export interface Limited {
  readonly limit: number;
}

/** More is a job for `--json` and pages. */
const LIMIT_MAX = 10_000;

export function limitOption(made: Command): Command {
  return made.option('--limit <number>', 'at most so many', wholeNumber(1, LIMIT_MAX), 100);
}
