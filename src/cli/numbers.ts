/** Whole numbers in options. */
import { InvalidArgumentError } from 'commander';

/** A parser for commander; an empty text, as an unset variable of a shell gives, is no number. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`a whole number from ${min} to ${max}.`);
  };
}
