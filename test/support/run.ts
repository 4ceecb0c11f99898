/**
 * `npm test`: type check, lint, dead code, then every vitest file, with real servers that this script finds or
 * installs; closes with one line `N passed, N failed`. Exits non-zero when anything failed.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureChromium } from './ensure-chromium.ts';
import { ensurePostgres } from './ensure-postgres.ts';
import { ensureRedis } from './ensure-redis.ts';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface VitestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  success: boolean;
  testResults: { name: string; status: string; assertionResults: { status: string }[] }[];
}

const CHECKS: readonly (readonly [name: string, command: string, args: readonly string[]])[] = [
  ['type check', 'tsc', ['--noEmit']],
  ['format and lint (biome)', 'biome', ['check', '--error-on-warnings', '.']],
  ['lint (oxlint)', 'oxlint', ['--type-aware', '--deny-warnings', 'src', 'test']],
  ['dead code (knip)', 'knip', []],
];

function run(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit' });
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(127);
    });
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** A file that could not be loaded has no tests to count, so it counts as one failure. */
function countVitest(file: string): Counts {
  const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
  const broken = report.testResults.filter(
    (r) => r.status === 'failed' && r.assertionResults.length === 0,
  ).length;
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

async function main(): Promise<number> {
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 24)
    throw new Error(`Node ${process.versions.node} runs this; run it by "npm test", which brings its own`);
  for (const [name, command, args] of CHECKS) {
    const code = await run(command, args);
    console.log(`${code === 0 ? '[+]' : '[-]'} ${name}`);
    if (code === 0) total.passed += 1;
    else total.failed += 1;
  }
  console.log(`[*] redis: ${ensureRedis()}`);
  console.log(`[*] chromium: ${ensureChromium() ?? 'absent, allowed by ALLOW_MISSING'}`);
  console.log(`[*] postgres: ${ensurePostgres() ?? 'absent, allowed by ALLOW_MISSING'}`);
  const folder = mkdtempSync(join(tmpdir(), 'sage-test-'));
  const json = join(folder, 'report.json');
  const code = await run('vitest', [
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${json}`,
  ]);
  try {
    const counts = countVitest(json);
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
  } catch (error) {
    console.error(`vitest left no report: ${(error as Error).message}`);
    total.failed += 1;
  }
  // An error outside any test (an unhandled rejection) fails the run without failing a test.
  if (code !== 0 && total.failed === 0) total.failed = 1;
  rmSync(folder, { recursive: true, force: true });
  if (total.skipped > 0)
    console.log(`[!] ${total.skipped} skipped; ALLOW_MISSING=${process.env.ALLOW_MISSING ?? ''}`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed === 0 ? 0 : 1;
}

process.exitCode = await main();
