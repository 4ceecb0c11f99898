/**
 * `npm run torture [-- --seed N] [--factor F] [--keep] [files]`: the tests of this folder in their long form. Prints what was
 * tried, how often, for how long and with which seed; exits non-zero when anything failed.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    factor: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
  },
});
if (!/^\d{1,10}$/.test(values.seed) || !(Number(values.factor) > 0))
  throw new Error('--seed is a whole number, --factor one above 0');

const folder = mkdtempSync(join(tmpdir(), 'sage-torture-'));
const reportFile = join(folder, 'report');
console.log(`[*] seed ${values.seed}, factor ${values.factor}`);
const child = spawn('vitest', ['run', ...(positionals.length > 0 ? positionals : ['test/torture'])], {
  stdio: 'inherit',
  env: {
    ...process.env,
    TORTURE: '1',
    TORTURE_SEED: values.seed,
    TORTURE_FACTOR: values.factor,
    TORTURE_REPORT: reportFile,
    TORTURE_KEEP: values.keep ? '1' : '0',
  },
});
const code = await new Promise<number>((resolve) => {
  child.on('error', (error) => {
    console.error(error.message);
    resolve(127);
  });
  child.on('exit', (status) => resolve(status ?? 1));
});
const lines = existsSync(reportFile) ? readFileSync(reportFile, 'utf8').trim().split('\n') : [];
for (const line of lines) {
  const { what, tried, ms, outcomes } = JSON.parse(line) as Record<string, string | number>;
  console.log(`[*] ${what}: ${tried} in ${ms} ms: ${outcomes}`);
}
rmSync(folder, { recursive: true, force: true });
// A run that reported nothing tried nothing.
const failed = code !== 0 || lines.length === 0;
console.log(
  `${failed ? '[-]' : '[+]'} torture, seed ${values.seed}: ${failed ? 'failed' : 'nothing got past'}`,
);
process.exitCode = failed ? 1 : 0;
