import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startAnvil } from '../../../src/trust/chain/anvil.ts';

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('a parent that is killed takes its chain along', async () => {
  const module = new URL('../../../src/trust/chain/anvil.ts', import.meta.url);
  const script = `import { startAnvil } from ${JSON.stringify(module.href)}; console.log((await startAnvil()).pid);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(String(line));
  expect(isAlive(pid)).toBe(true);
  parent.kill('SIGKILL');
  // The end of a process that is nobody's child has no event here.
  for (let i = 0; i < 100 && isAlive(pid); i++) await sleep(20);
  expect(isAlive(pid)).toBe(false);
});

test('a chain that cannot start says why', async () => {
  const first = await startAnvil();
  await expect(startAnvil({ port: first.port })).rejects.toMatchObject({ code: 'anvil_missing' });
  await first.stop();
  expect(isAlive(first.pid)).toBe(false);
});
