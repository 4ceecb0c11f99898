/**
 * What every command shares: it answers with data and a way to read it, and fails with a coded error; this prints
 * either, for people or as JSON, and sets the exit code.
 */
import { Command, CommanderError } from 'commander';
import { type CliEnv, EnvError } from '../env.ts';
import { CliError, EXIT, type ExitCode } from './errors.ts';
import { createPen, type Pen, plain } from './text.ts';

/** The form of every answer of `--json`; it changes only with its name. */
export const JSON_SCHEMA = 'sage.cli/v1';

export interface Answer {
  /** What `--json` shows. */
  readonly data: unknown;
  /** What people read. */
  readonly lines: (pen: Pen) => readonly string[];
  /** When what was asked was done and its result is bad news, as of `verify`. */
  readonly exit?: ExitCode;
}

export interface Frame {
  readonly env: CliEnv;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly pen: Pen;
  /** A line on standard error for people; nothing with `--json` or `--quiet`. */
  note(text: string): void;
  /** Shows that something takes long, on a terminal alone, until `work` is done. */
  waiting<T>(text: string, work: Promise<T>): Promise<T>;
}

interface Streams {
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
}

const SPINNER = ['|', '/', '-', '\\'];
const SPIN_MS = 120;

function isColoured(env: CliEnv, stream: NodeJS.WriteStream): boolean {
  if (env.forceColour) return true;
  return stream.isTTY === true && !env.noColour && env.term !== 'dumb';
}

export function createFrame(
  env: CliEnv,
  options: { json: boolean; quiet: boolean },
  streams: Streams,
): Frame {
  const { out, err } = streams;
  const silent = options.json || options.quiet;
  return {
    env,
    ...options,
    pen: createPen(!options.json && isColoured(env, out), out.isTTY === true ? out.columns : undefined),
    note: (text) => {
      if (!silent) err.write(`${text}\n`);
    },
    async waiting(text, work) {
      if (silent || err.isTTY !== true || env.term === 'dumb') return work;
      let turn = 0;
      const spin = setInterval(() => {
        turn += 1;
        err.write(`\r${SPINNER[turn % SPINNER.length]} ${text}`);
      }, SPIN_MS);
      try {
        return await work;
      } finally {
        clearInterval(spin);
        err.write(`\r\x1b[K`);
      }
    },
  };
}

/** Where a command prints, and what it is told. */
export interface Shell extends Streams {
  readonly env: CliEnv;
  /** Sets the exit code of the process. */
  exit(code: ExitCode): void;
}

/** A command with the options that all have. */
export function command(name: string, summary: string, examples: readonly string[]): Command {
  const made = new Command(name);
  made
    .description(summary)
    .helpOption('--help', 'print this')
    .option('--json', 'print one JSON document instead of text', false)
    .option('--quiet', 'print the result alone, no notes', false);
  const shown = examples.map((example) => `  $ ${example}`).join('\n');
  return made.addHelpText('after', `\nExamples:\n${shown}`);
}

function isOutputOptions(value: unknown): value is { json: boolean; quiet: boolean } {
  return typeof value === 'object' && value !== null && 'json' in value && 'quiet' in value;
}

/** Runs `work` for a command and prints what comes of it. */
export function runs<Options extends object>(
  shell: Shell,
  made: Command,
  work: (frame: Frame, options: Options, words: readonly string[]) => Promise<Answer | null>,
): Command {
  return made.action(async (...given: unknown[]) => {
    const options = made.opts<Options>();
    const output = isOutputOptions(options)
      ? { json: options.json, quiet: options.quiet }
      : { json: false, quiet: false };
    const frame = createFrame(shell.env, output, shell);
    const name = nameOf(made);
    const words = given
      .slice(0, made.registeredArguments.length)
      .flat()
      .filter((word) => typeof word === 'string');
    try {
      const answer = await work(frame, options, words);
      if (answer !== null) print(shell, frame, name, answer);
    } catch (error) {
      printFailure(shell, name, error, frame.json, createPen(isColoured(shell.env, shell.err)));
    }
  });
}

/** `config check` of `sage config check`. */
function nameOf(made: Command): string {
  const parent = made.parent;
  return parent === null || parent.parent === null ? made.name() : `${nameOf(parent)} ${made.name()}`;
}

function print(shell: Shell, frame: Frame, name: string, { data, lines, exit = EXIT.ok }: Answer): void {
  const text = frame.json
    ? JSON.stringify({ schema: JSON_SCHEMA, command: name, ok: exit === EXIT.ok, data }, null, 2)
    : lines(frame.pen).join('\n');
  if (text !== '') shell.out.write(`${text}\n`);
  shell.exit(exit);
}

/** Errors of the libraries below have a code and a message that is meant to be read. */
function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof EnvError)
    return new CliError('configuration_invalid', 'the environment', { faults: error.faults, cause: error });
  if (error instanceof CommanderError) return new CliError('usage', error.message, { cause: error });
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const code = /^(?:key|keyid|algorithm|file|url|env)_/.test(error.code) ? 'key_unusable' : 'refused';
    return new CliError(code, `${error.message} [${error.code}]`, { cause: error });
  }
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new CliError('internal', what, { cause: error });
}

export function printFailure(shell: Shell, name: string, thrown: unknown, json: boolean, pen: Pen): void {
  const error = asCliError(thrown);
  const { code, message, faults, gateway } = error;
  if (json) {
    const body = {
      code,
      message,
      faults,
      ...(gateway === undefined
        ? {}
        : { gateway: { status: gateway.status, code: gateway.code, request_id: gateway.requestId } }),
    };
    shell.out.write(
      `${JSON.stringify({ schema: JSON_SCHEMA, command: name, ok: false, error: body }, null, 2)}\n`,
    );
  } else {
    const more = faults.map((fault) => `    ${plain(fault)}`);
    // Without a hint at "sage explain": it knows callers' requests, and no decision tells of an operator's own.
    if (gateway?.requestId) more.push(`    request ${plain(gateway.requestId)}`);
    const text = code === 'internal' ? message : message.split('\n').map(plain).join('\n');
    shell.err.write(`${[`${pen.mark('-')} ${text}`, ...more].join('\n')}\n`);
  }
  shell.exit(error.exit);
}
