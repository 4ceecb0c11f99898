/** `sage init`: a folder with everything a first gateway needs. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { CliError } from '../errors.ts';
import { writeFile } from '../files.ts';
import { command, runs, type Shell } from '../frame.ts';
import { wholeNumber } from '../numbers.ts';
import { scaffold } from '../scaffold.ts';

interface Options {
  readonly port: number;
  readonly agentPort: number;
  readonly force: boolean;
}

export const port = wholeNumber(1, 65_535);

export function initCommand(shell: Shell): Command {
  const made = command('init', 'write sage.yaml, policy.yaml, .env and a sample agent', [
    'sage init',
    'sage init gateway --port 8443',
  ])
    .argument('[folder]', 'where; made if it is not there', '.')
    .option('--port <number>', "the gateway's", port, 8_080)
    .option('--agent-port <number>', "the sample agent's", port, 9_100)
    .option('--force', 'replace files that are there', false);
  return runs<Options>(shell, made, async (_frame, options, [folder = '.']) => {
    const files = scaffold({ ...options, operatorKey: randomBytes(32).toString('hex') });
    // Asked before the first is written, so that a refusal leaves nothing behind.
    const there = files.filter(({ path }) => existsSync(join(folder, path)));
    if (there.length > 0 && !options.force)
      throw new CliError('file_exists', there.map(({ path }) => join(folder, path)).join(', '));
    for (const { path, text, secret } of files)
      writeFile(join(folder, path), text, { force: options.force, secret });
    const written = files.map(({ path }) => join(folder, path));
    return {
      data: { folder, files: written },
      lines: (pen) => [
        ...written.map((path) => `${pen.mark('+')} ${path}`),
        '',
        'Next:',
        ...(folder === '.' ? [] : [`  cd ${folder}`]),
        '  node agent.mjs &',
        '  sage serve --env .env',
      ],
    };
  });
}
