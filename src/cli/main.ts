#!/usr/bin/env node
/**
 * The command `sage`. Nothing of the program is imported before Node's version is known to do: an old Node would
 * stop at the first syntax it does not know, with a message that names neither itself nor what is needed.
 */
import { readFileSync } from 'node:fs';

const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const needed = String(engines.node).replace('>=', '');

/** Whether `version` is `least` or newer; both are written `major.minor.patch`. */
function isAtLeast(version: string, least: string): boolean {
  const [have, want] = [version, least].map((text) => text.split('.').map(Number));
  for (const [at, number] of (want ?? []).entries()) {
    const difference = (have?.[at] ?? 0) - number;
    if (difference !== 0) return difference > 0;
  }
  return true;
}

if (isAtLeast(process.versions.node, needed)) {
  const { run } = await import('./program.ts');
  process.exitCode = await run(process.argv.slice(2));
} else {
  process.stderr.write(
    `sage: Node ${needed} or newer is needed, and this is ${process.versions.node} (${process.execPath}).\n` +
      'Install it from https://nodejs.org, or let npm bring it:\n' +
      '  npx --package=node@26 --package=sage-gateway sage\n',
  );
  process.exitCode = 1;
}
