/** What `sage` does with its arguments. */
import { readFileSync } from 'node:fs';
import { fail, serve } from '../main.ts';

const HELP = `sage <command>

  serve        start the gateway, configured by environment variables and sage.yaml
  --version    print the version
  --help       print this
`;

/** The version of the package that this file is part of. */
function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}

/**
 * Runs one command.
 * @param words what was typed after `sage`
 * @returns the exit code: 0 done (a gateway that was started goes on), 2 no such command
 */
export async function run(words: readonly string[]): Promise<number> {
  const [command] = words;
  if (command === 'serve') {
    await serve().catch(fail);
    return 0;
  }
  if (command === '--version' || command === '--help') {
    process.stdout.write(command === '--help' ? HELP : `${version()}\n`);
    return 0;
  }
  process.stderr.write(HELP);
  return 2;
}
