/** `sage migrate`: the database's tables, by hand; a gateway that starts applies what is pending by itself. */
import { Command } from 'commander';
import type { MigrationReport } from '../../store/migrate.ts';
import { CliError } from '../errors.ts';
import { type Answer, command, type Frame, runs, type Shell } from '../frame.ts';
import { wholeNumber } from '../numbers.ts';
import { table } from '../text.ts';

interface Options {
  readonly to?: number;
  readonly env?: string;
}

export function migrateCommand(shell: Shell): Command {
  return new Command('migrate')
    .description("the database's tables: DATABASE_URL, or SQLite in DATA_DIR")
    .addCommand(upCommand(shell))
    .addCommand(downCommand(shell))
    .addCommand(statusCommand(shell));
}

function withEnvFile(made: Command): Command {
  return made.option('--env <file>', 'variables from a file; those that are set already win');
}

async function target({ env }: Options) {
  const { readEnv, useEnvFile } = await import('../../env.ts');
  if (env !== undefined) useEnvFile(env);
  const { databaseUrl, dataDir } = readEnv();
  return { databaseUrl, dataDir, now: Date.now };
}

function answer({ kind, endpoint, changed, migrations }: MigrationReport): Answer {
  return {
    data: { kind, endpoint, changed, migrations },
    lines: (pen) => [
      `${pen.mark('*')} ${kind} at ${endpoint}`,
      ...table(
        migrations,
        {
          columns: [
            { title: 'MIGRATION', text: ({ name }) => name },
            {
              title: 'APPLIED',
              text: ({ appliedAtMs }) => (appliedAtMs === null ? null : new Date(appliedAtMs).toISOString()),
            },
          ],
          mark: ({ appliedAtMs }) => (appliedAtMs === null ? '!' : '+'),
          none: 'no migrations',
        },
        pen,
      ),
    ],
  };
}

/** Its errors have a code and are meant to be read; nothing was half done. */
async function stored(frame: Frame, text: string, work: Promise<MigrationReport>): Promise<Answer> {
  try {
    return answer(await frame.waiting(text, work));
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    throw new CliError('store_failed', `${error.message} [${String(error.code)}]`, { cause: error });
  }
}

function upCommand(shell: Shell): Command {
  const made = withEnvFile(
    command('up', 'apply what is pending', ['sage migrate up', 'sage migrate up --to 1']),
  ).option('--to <number>', 'up to and with this one', wholeNumber(0, 9_999));
  return runs<Options>(shell, made, async (frame, options) => {
    const { migrate } = await import('../../store/migrate.ts');
    const order = { direction: 'up', ...(options.to === undefined ? {} : { to: options.to }) } as const;
    return stored(frame, 'migrating', migrate(await target(options), order));
  });
}

function downCommand(shell: Shell): Command {
  const made = withEnvFile(
    command('down', 'take migrations back, with what their tables hold', ['sage migrate down --to 0']),
  ).requiredOption('--to <number>', 'what is above this number; 0 leaves nothing', wholeNumber(0, 9_999));
  return runs<Options & { readonly to: number }>(shell, made, async (frame, options) => {
    const { migrate } = await import('../../store/migrate.ts');
    return stored(frame, 'migrating', migrate(await target(options), { direction: 'down', to: options.to }));
  });
}

function statusCommand(shell: Shell): Command {
  const made = withEnvFile(command('status', 'which are applied; changes nothing', ['sage migrate status']));
  return runs<Options>(shell, made, async (frame, options) => {
    const { migrationStatus } = await import('../../store/migrate.ts');
    return stored(frame, 'asking', migrationStatus(await target(options)));
  });
}
