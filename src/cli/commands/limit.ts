/** `--limit` of commands that list. */
import { type Command, InvalidArgumentError } from 'commander';

export interface Limited {
  readonly limit: number;
}

/** More is a job for `--json` and pages. */
const LIMIT_MAX = 10_000;

export function limitOption(made: Command): Command {
  return made.option(
    '--limit <number>',
    'at most so many',
    (text) => {
      const value = Number(text);
      if (Number.isInteger(value) && value >= 1 && value <= LIMIT_MAX) return value;
      throw new InvalidArgumentError(`a whole number from 1 to ${LIMIT_MAX}.`);
    },
    100,
  );
}
