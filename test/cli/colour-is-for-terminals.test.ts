import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { environmentOf, folderOf, MAIN, sage } from './support.ts';

const folder = folderOf('colour');
const ESCAPE = '\u001b[';
const words = ['config', 'check', '--config', 'none.yaml'];

test('none in a pipe', async () => {
  const { out } = await sage(words, { folder });
  expect(out).toMatch(/^\[-\] cannot read none\.yaml/m);
  expect(out).not.toContain(ESCAPE);
});

test('FORCE_COLOR asks for it', async () => {
  const { out } = await sage(words, { folder, env: { FORCE_COLOR: '1' } });
  expect(out).toContain(`${ESCAPE}31m[-]${ESCAPE}39m`);
});

/** On a terminal of its own, which util-linux's `script` gives. */
function onTerminal(env: Readonly<Record<string, string | null>>): string {
  const line = [process.execPath, MAIN, ...words].map((word) => `'${word}'`).join(' ');
  const { stdout, error } = spawnSync('script', ['--quiet', '--command', line, '/dev/null'], {
    cwd: folder,
    env: environmentOf({ TERM: 'xterm', ...env }),
    encoding: 'utf8',
  });
  if (error !== undefined) throw error;
  return stdout;
}

test('a terminal has it, unless NO_COLOR or a dumb terminal asks for none', () => {
  expect(onTerminal({})).toContain(`${ESCAPE}31m[-]`);
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }])
    expect(onTerminal(env)).toMatch(/\[-\] cannot read/);
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }])
    expect(onTerminal(env)).not.toContain(`${ESCAPE}31m`);
});
