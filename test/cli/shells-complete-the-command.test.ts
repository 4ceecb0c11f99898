import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { folderOf, sage } from './support.ts';

const folder = folderOf('completion');

/** What bash offers for the words of `line`, the last of which is being typed. */
function offered(line: string): string[] {
  const words = line.split(' ');
  const script = `source ./sage.bash
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length - 1}
_sage
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.trim().split('\n');
}

beforeAll(async () => {
  const { out, code } = await sage(['completion', 'bash']);
  expect(code).toBe(0);
  writeFileSync(join(folder, 'sage.bash'), out);
});

describe('bash offers', () => {
  test.each([
    ['sage ke', ['keygen', 'keys']],
    ['sage agents ', ['list', 'show', 'add', 'set', 'remove', '--help']],
    ['sage policy val', ['validate']],
    ['sage keygen --al', ['--algorithm']],
    ['sage keys create --sc', ['--scope']],
    ['sage verify --pub', ['--public-key']],
  ])('%s', (line, words) => {
    expect(offered(line)).toEqual(words);
  });
});

test.each(['zsh', 'fish'])('%s gets a script that names every command', async (shell) => {
  const { out, code } = await sage(['completion', shell]);
  expect(code).toBe(0);
  for (const name of ['serve', 'verify', 'agents', 'rotate', 'completion']) expect(out).toContain(name);
});

test('another shell is refused', async () => {
  expect((await sage(['completion', 'cmd'])).code).toBe(2);
});
