/** What `sage` does with its arguments. Commands import what they need when they run, so that help comes at once. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { readCliEnv } from '../env.ts';
import { agentsCommand } from './commands/agents.ts';
import { completionCommand } from './commands/completion.ts';
import { configCommand } from './commands/config.ts';
import { devCommand } from './commands/dev.ts';
import { explainCommand } from './commands/explain.ts';
import { initCommand } from './commands/init.ts';
import { keygenCommand } from './commands/keygen.ts';
import { keysCommand } from './commands/keys.ts';
import { migrateCommand } from './commands/migrate.ts';
import { policyCommand } from './commands/policy.ts';
import { revokeCommand } from './commands/revoke.ts';
import { serveCommand } from './commands/serve.ts';
import { signCommand } from './commands/sign.ts';
import { statusCommand } from './commands/status.ts';
import { verifyCommand } from './commands/verify.ts';
import { CliError, EXIT, type ExitCode } from './errors.ts';
import { createFrame, printFailure, type Shell } from './frame.ts';
import { looksSecret } from './secrets.ts';

/** The version of the package that this file is part of. */
function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}

/** The whole program; `docs/cli.md` and the completion of shells are written from it. */
export function createProgram(shell: Shell, json: boolean): Command {
  const program = new Command('sage')
    .description('An API gateway that stands in front of AI agents and proves who is calling.')
    .version(version(), '--version', 'print the version')
    .helpOption('--help', 'print help for a command')
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => shell.out.write(text),
      // With --json the same is said in the document that `run` prints.
      writeErr: (text) => {
        if (!json) shell.err.write(text);
      },
    });
  const commands = [
    serveCommand,
    devCommand,
    initCommand,
    configCommand,
    keygenCommand,
    signCommand,
    verifyCommand,
    statusCommand,
    explainCommand,
    agentsCommand,
    policyCommand,
    revokeCommand,
    keysCommand,
    migrateCommand,
  ];
  for (const declare of commands) program.addCommand(declare(shell));
  program.addCommand(completionCommand(shell, () => program));
  for (const group of program.commands) group.helpOption('--help', 'print this');
  return program;
}

/** Everywhere, so that a wrong option ends with our code instead of ending the process. */
function overrideExits(command: Command): void {
  command.exitOverride();
  for (const below of command.commands) overrideExits(below);
}

function stopWriting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
}

/**
 * Runs one command.
 * @param words what was typed after `sage`
 * @returns the exit code; a gateway that was started goes on
 */
export async function run(words: readonly string[]): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const shell: Shell = {
    env: readCliEnv(),
    out: process.stdout,
    err: process.stderr,
    exit: (next) => {
      code = next;
    },
  };
  const json = words.includes('--json');
  // Whoever reads has read enough, as `head` does.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', stopWriting);
  const program = createProgram(shell, json);
  overrideExits(program);
  const { pen } = createFrame(shell.env, { json, quiet: false }, { out: shell.err, err: shell.err });
  try {
    if (words.some(looksSecret)) throw new CliError('secret_on_command_line');
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && (error.exitCode === 0 || !json))
      return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    printFailure(shell, words.find((word) => !word.startsWith('-')) ?? '', error, json, pen);
  }
  return code;
}
