import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { folderOf, freePort, sageJson, start } from './support.ts';

const folder = folderOf('dev');
const bash = (line: string): Promise<{ stdout: string }> => promisify(execFile)('bash', ['-c', line]);

/** The one document that `dev --json` prints when it is ready. */
async function ready(
  words: readonly string[],
): Promise<{ child: ReturnType<typeof start>; data: Record<string, string> }> {
  const child = start(['dev', '--json', '--port', String(await freePort()), ...words], { folder });
  let out = '';
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => (err += String(chunk)));
  for await (const chunk of child.stdout) {
    out += String(chunk);
    if (out.endsWith('}\n')) return { child, data: JSON.parse(out).data };
  }
  throw new Error(`it ended: ${err}`);
}

test('a gateway, a caller and a line that is served once, and nothing left behind', async () => {
  const startedAt = performance.now();
  const { child, data } = await ready([]);
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  const first = JSON.parse((await bash(data.curl ?? '')).stdout);
  expect(first).toMatchObject({ caller: data.did, method: 'GET' });
  expect(JSON.parse((await bash(data.curl ?? '')).stdout)).toMatchObject({ code: 'nonce_replayed' });
  const signed = await sageJson(['sign', '--key-file', data.key_file ?? '', 'GET', `${data.agent_url}more`], {
    folder,
  });
  expect(JSON.parse((await bash(signed.data.curl)).stdout)).toMatchObject({
    caller: data.did,
    path: '/more',
  });
  child.kill('SIGINT');
  const [code] = await once(child, 'exit');
  expect(code).toBe(0);
  expect(existsSync(dirname(data.key_file ?? ''))).toBe(false);
});

test('the agent that is named stands behind it', async () => {
  const agent = createServer((_request, response) => response.end('mine'));
  await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve));
  const { child, data } = await ready([
    '--upstream',
    `http://127.0.0.1:${(agent.address() as AddressInfo).port}`,
  ]);
  expect((await bash(data.curl ?? '')).stdout).toBe('mine');
  child.kill('SIGTERM');
  await once(child, 'exit');
  agent.close();
});

test.each([
  ['an upstream that is none', ['--upstream', 'localhost'], 'usage', 2],
  ['a port that is none', ['--port', '99999'], 'usage', 2],
])('%s', async (_what, words, code, exit) => {
  expect(await sageJson(['dev', ...words], { folder })).toMatchObject({ code: exit, error: { code } });
});
