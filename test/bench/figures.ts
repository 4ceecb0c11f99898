/** Figures with their bounds: a missed bound is printed with `[-]` and reported, never redefined. */
import { writeFileSync } from 'node:fs';

export interface Figure {
  readonly value: number;
  readonly bound: string;
  readonly ok: boolean;
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const round = (value: number): number => Math.round(value * 1_000) / 1_000;

export const atMost = (value: number, bound: number): Figure => ({
  value: round(value),
  bound: `<= ${bound}`,
  ok: value <= bound,
});

/** @param digits behind the point */
export const atLeast = (value: number, bound: number, digits = 0): Figure => ({
  value: Number(value.toFixed(digits)),
  bound: `>= ${bound}`,
  ok: value >= bound,
});

export const exactly = (value: number, bound: number): Figure => ({
  value,
  bound: String(bound),
  ok: value === bound,
});

export function printFigures(figures: Readonly<Record<string, Figure>>): void {
  for (const [name, figure] of Object.entries(figures)) {
    console.log(
      `${figure.ok ? '[+]' : '[-]'} ${name.padEnd(38)} ${String(figure.value).padStart(12)}  ${figure.bound}`,
    );
  }
}

export function saveFigures(file: string | undefined, figures: Readonly<Record<string, Figure>>): void {
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`);
}
