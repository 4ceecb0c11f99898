/** Prints what a step did, what was expected and what came back, one line a step. */

export interface StepResult {
  readonly step: string;
  readonly expected: string;
  readonly got: string;
  readonly ok: boolean;
}

const STEP_WIDTH = 56;
const EXPECTED_WIDTH = 36;

function cell(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);
}

export interface Table {
  heading(text: string): void;
  row(result: StepResult): void;
  /** Prints the count and says whether every step behaved. */
  close(): boolean;
}

/** `[+]` behaved, `[-]` did not. */
export function createTable(write: (line: string) => void): Table {
  const results: StepResult[] = [];
  write(`    ${cell('step', STEP_WIDTH)}  ${cell('expected', EXPECTED_WIDTH)}  got`);
  write(`    ${'-'.repeat(STEP_WIDTH)}  ${'-'.repeat(EXPECTED_WIDTH)}  ${'-'.repeat(EXPECTED_WIDTH)}`);
  return {
    heading(text) {
      write(`\n    ${text}`);
    },
    row(result) {
      results.push(result);
      const mark = result.ok ? '[+]' : '[-]';
      write(
        `${mark} ${cell(result.step, STEP_WIDTH)}  ${cell(result.expected, EXPECTED_WIDTH)}  ${result.got}`,
      );
    },
    close() {
      const failed = results.filter((result) => !result.ok).length;
      write(`\n${results.length - failed} steps behaved, ${failed} did not`);
      return failed === 0;
    },
  };
}
