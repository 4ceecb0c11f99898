/** What a page tells a reader to type is typed here, in its order, in an empty folder, with the packed command. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { childEnvironment } from '../../src/env.ts';
import { VARIABLES } from '../../src/env-variables.ts';
import { installedPackage } from '../support/packed.ts';
import { codeBlocks, manual, page } from './markdown.ts';

/** What a block of `console` needs, that a test has not: such a block is read, not run. */
const ABSENT =
  /^(?:\$ )?(?:curl .*gateway\.example|docker|kubectl|systemctl|sudo|helm|psql|npm ci|npm install|npx|openssl s_client)\b/;
const SECONDS = 1_000;
/** Pages whose lines a test of their own runs, since they need secrets, certificates or a service manager. */
const RUN_ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['docs/deployment.md', 'test/docs/deployment-page-is-true.test.ts'],
]);

const pages = [...manual(), page('SECURITY.md')]
  .map((from) => ({ from, blocks: codeBlocks(from) }))
  .filter(({ blocks }) => blocks.length > 0);
const typed = pages
  .map(({ from, blocks }) => ({
    path: from.path,
    lines: blocks.filter(({ language }) => language === 'sh').map(({ text }) => text),
  }))
  .filter(({ path, lines }) => lines.length > 0 && !RUN_ELSEWHERE.has(path));

let bin = '';
const folders: string[] = [];
beforeAll(async () => {
  bin = dirname((await installedPackage()).sage);
}, 300 * SECONDS);
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Runs `script` to its end and stops what it left in the background. */
function bash(script: string, folder: string): Promise<{ code: number; output: string }> {
  const none = Object.fromEntries([...VARIABLES, 'SAGE_API_KEY', 'SAGE_URL'].map((name) => [name, null]));
  const env = childEnvironment({
    ...none,
    PATH: `${bin}:${dirname(process.execPath)}:${process.env.PATH}`,
    HOME: folder,
  });
  return new Promise((resolve) => {
    execFile(
      'bash',
      ['-c', `trap 'code=$?; set +e; kill $(jobs -p) 2>/dev/null; wait; exit $code' EXIT\n${script}`],
      { cwd: folder, env, timeout: 90 * SECONDS },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, output: `${stdout}\n${stderr}` });
      },
    );
  });
}

test('every block says what it is', () => {
  const unnamed = pages.flatMap(({ from, blocks }) =>
    blocks
      .filter(({ language }) => ['bash', 'shell', 'zsh'].includes(language))
      .map(({ line }) => `${from.path}:${line}: write sh, which is run, or console`),
  );
  expect(unnamed).toEqual([]);
});

test('a page that is run elsewhere is', () => {
  for (const [path, by] of RUN_ELSEWHERE) expect(page(by).text).toContain(`page('${path}')`);
});

test('only what cannot be run here is shown without being run', () => {
  const shown = pages.flatMap(({ from, blocks }) =>
    blocks
      .filter(
        ({ language, text }) => language === 'console' && !text.split('\n').some((line) => ABSENT.test(line)),
      )
      .map(({ line }) => `${from.path}:${line}`),
  );
  expect(shown).toEqual([]);
});

describe('what is typed works', () => {
  test('some pages tell what to type', () => {
    expect(typed.map(({ path }) => path)).toContain('docs/getting-started.md');
  });

  test.each(typed)(
    '$path',
    async ({ lines }) => {
      const folder = mkdtempSync(join(tmpdir(), 'sage-docs-'));
      folders.push(folder);
      const [gateway, agent] = [await freePort(), await freePort()];
      const script = lines
        .join('\n')
        .replaceAll('127.0.0.1:8080', `127.0.0.1:${gateway}`)
        .replaceAll('127.0.0.1:9100', `127.0.0.1:${agent}`)
        .replace(/^sage init gateway$/gm, `sage init gateway --port ${gateway} --agent-port ${agent}`)
        // A signature of the second in which the gateway started is refused; who reads takes longer, and there is no event for it.
        .replace(/^curl .*\/health\/ready$/gm, '$&\nsleep 1.1')
        // The package is installed already, from the tarball of this state.
        .replace(/^npm install --global sage-gateway$/gm, 'command -v sage');
      const { code, output } = await bash(
        `set -euo pipefail\nexport PORT=${gateway} SAGE_URL=http://127.0.0.1:${gateway}\n${script}`,
        folder,
      );
      expect(`${output}\nexit code ${code}`).toMatch(/exit code 0$/);
    },
    100 * SECONDS,
  );
});
