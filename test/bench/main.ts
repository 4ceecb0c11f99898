/**
 * `npm run bench [-- GROUP...] [--json FILE]`: the budgets of the path, or of the groups named. CPU per request is user +
 * system time of the measured process divided by the requests it served.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Figure, printFigures, saveFigures } from './figures.ts';
import { measureIdentity } from './identity.ts';
import { measurePath } from './path.ts';
import { endAll } from './processes.ts';

const GROUPS: Readonly<Record<string, (folder: string) => Promise<Record<string, Figure>>>> = {
  path: measurePath,
  identity: measureIdentity,
};

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'string' } } });
const groups = positionals.length > 0 ? positionals : ['path'];
const unknown = groups.filter((group) => GROUPS[group] === undefined);
if (unknown.length > 0)
  throw new Error(`no such group: ${unknown.join(', ')}; there are ${Object.keys(GROUPS).join(', ')}`);

const folder = mkdtempSync(join(tmpdir(), 'sage-bench-'));
try {
  const figures: Record<string, Figure> = {};
  for (const group of groups) Object.assign(figures, await GROUPS[group]?.(join(folder, group)));
  printFigures(figures);
  saveFigures(values.json, figures);
} finally {
  endAll();
  rmSync(folder, { recursive: true, force: true });
}
