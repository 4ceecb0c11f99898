/** `sage serve`: the gateway. */
import type { Command } from 'commander';
import { command, runs, type Shell } from '../frame.ts';

export function serveCommand(shell: Shell): Command {
  const made = command('serve', 'start the gateway, configured by environment variables and sage.yaml', [
    'sage serve',
    'CONFIG_FILE=/etc/sage/sage.yaml PORT=8443 sage serve',
    'sage serve --env .env',
  ]).option('--env <file>', 'variables from a file; those that are set already win');
  return runs<{ readonly env?: string }>(shell, made, async (_frame, { env }) => {
    const [{ fail, serve }, { useEnvFile }] = await Promise.all([
      import('../../main.ts'),
      import('../../env.ts'),
    ]);
    try {
      if (env !== undefined) useEnvFile(env);
      await serve();
    } catch (error) {
      fail(error);
    }
    return null;
  });
}
