/** What the manual says of settings, written from the schemas: `npm run docs` puts it in place, a test compares. */
import { Writable } from 'node:stream';
import type { Command } from 'commander';
import type { TSchema } from 'typebox';
import { AgentSchema, UpstreamSchema } from '../../src/agents/entry.ts';
import { AnswerSchema } from '../../src/cli/answer-schema.ts';
import { CLI_ERRORS, EXIT } from '../../src/cli/errors.ts';
import type { Shell } from '../../src/cli/frame.ts';
import { createProgram } from '../../src/cli/program.ts';
import {
  ChainSchema,
  ConfigSchema,
  OperatorSchema,
  RegistrySchema,
  SharedKeySchema,
} from '../../src/config-schema.ts';
import { readCliEnv } from '../../src/env.ts';
import { type Declaration, GROUPS } from '../../src/env-variables.ts';
import { PolicySet } from '../../src/policy/language.ts';

type Node = Readonly<Record<string, unknown>>;

const number = (value: unknown): string => Number(value).toLocaleString('en-US');

function ticked(values: readonly unknown[]): string {
  return values.map((value) => `\`${String(value)}\``).join(', ');
}

/** What a key may hold, in words. */
function boundsOf(node: Node): string {
  if (typeof node.title === 'string') return node.title;
  if ('const' in node) return ticked([node.const]);
  if (Array.isArray(node.enum)) return ticked(node.enum);
  if (node.type === 'array') return `${number(node.minItems ?? 0)} to ${number(node.maxItems)} entries`;
  if (node.type === 'integer' && node.maximum === undefined) return `${number(node.minimum)} or more`;
  if (node.type === 'integer') return `${number(node.minimum)} to ${number(node.maximum)}`;
  throw new RangeError(`say in words what this may hold: ${JSON.stringify(node)}`);
}

function defaultOf(node: Node, required: boolean): string {
  if (required) return 'required';
  if (typeof node['x-absent'] === 'string') return node['x-absent'];
  if (node.default === undefined) return 'none';
  return node.type === 'integer' ? number(node.default) : ticked([node.default]);
}

function tableOf(schema: TSchema): string {
  const { properties, required = [] } = schema as unknown as {
    properties: Readonly<Record<string, Node>>;
    required?: readonly string[];
  };
  const rows = Object.entries(properties).map(([key, node]) => {
    if (typeof node.description !== 'string') throw new RangeError(`\`${key}\` has no description`);
    return `| \`${key}\` | ${defaultOf(node, required.includes(key))} | ${boundsOf(node)} | ${node.description} |`;
  });
  return ['| key | default | bounds | meaning |', '|---|---|---|---|', ...rows].join('\n');
}

function formOf({ range, choices, form }: Declaration): string {
  if (range !== undefined) return `${number(range[0])} to ${number(range[1])}`;
  return choices === undefined ? (form ?? '') : ticked(choices);
}

/** Names of variables and routes stand out as code does. */
function withCode(text: string): string {
  return text.replace(/(?<![`\w/])(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|\/[a-z0-9/]+[a-z0-9])(?![`\w])/g, '`$&`');
}

function environment(): string {
  const parts = Object.entries<Readonly<Record<string, Declaration>>>(GROUPS).map(([group, variables]) => {
    const rows = Object.entries(variables).map(
      ([name, declaration]) =>
        `| \`${name}\` | ${declaration.fallback === null ? 'none' : `\`${declaration.fallback}\``} | ${formOf(declaration)} | ${withCode(declaration.meaning)} |`,
    );
    return [
      `**${group}**`,
      '',
      '| variable | default | bounds | meaning |',
      '|---|---|---|---|',
      ...rows,
    ].join('\n');
  });
  return parts.join('\n\n');
}

const quiet = new Writable({ write: (_chunk, _encoding, done) => done() });
const nowhere = Object.assign(quiet) as Shell['out'];

/** The program, to be looked at. */
export const PROGRAM = createProgram(
  { env: readCliEnv({}), out: nowhere, err: nowhere, exit: () => undefined },
  false,
);

interface Leaf {
  readonly path: string;
  readonly made: Command;
}

/** Commands that do something, by what is typed. */
export function leavesOf(of: Command, path = 'sage'): Leaf[] {
  return of.commands.length === 0
    ? [{ path, made: of }]
    : of.commands.flatMap((below) => leavesOf(below, `${path} ${below.name()}`));
}

/** What stands in a cell may not end it. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '\\<');

function commandReference({ path, made }: Leaf): string {
  let help = '';
  made.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  const examples = help.slice(help.indexOf('Examples:\n') + 'Examples:\n'.length).trimEnd();
  const words = made.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  const about = made.registeredArguments
    .filter(({ description }) => description !== '')
    .map((argument) => `| \`${argument.name()}\` | ${cell(argument.description)} | |`);
  const options = made.options
    .filter(({ long }) => long !== '--json' && long !== '--quiet')
    .map((option) => {
      const { defaultValue: value, argChoices: choices } = option;
      const shown =
        Array.isArray(value) || value === undefined || value === false || value === ''
          ? ''
          : `\`${String(value)}\``;
      const may = choices === undefined ? '' : `: ${ticked(choices)}`;
      return `| \`${option.flags}\` | ${cell(option.description)}${may} | ${shown} |`;
    });
  const rows = [...about, ...options];
  const table = rows.length === 0 ? [] : ['| option | what | default |', '|---|---|---|', ...rows, ''];
  const summary = `${made.description().slice(0, 1).toUpperCase()}${made.description().slice(1)}.`;
  return [
    `### ${path}`,
    '',
    summary,
    '',
    `\`${[path, ...words].join(' ')}\``,
    '',
    ...table,
    '```text',
    examples.replace(/^ {2}/gm, ''),
    '```',
  ].join('\n');
}

function commandReferences(): string {
  return leavesOf(PROGRAM).map(commandReference).join('\n\n');
}

const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done',
  failed: 'it could not be done, the gateway refused, or what was checked does not hold',
  usage: 'the command was not understood; nothing was done',
  configuration: 'settings cannot be used',
  unreachable: 'the gateway does not answer',
  unauthorised: 'the gateway does not let this credential in, or there is none',
  notFound: 'there is no such thing',
  interrupted: 'interrupted from the keyboard',
};

function exits(): string {
  const rows = Object.entries(EXIT).map(([name, exit]) => {
    const codes = Object.entries(CLI_ERRORS).filter(([, [of]]) => of === exit);
    return `| ${exit} | ${EXIT_MEANINGS[name as keyof typeof EXIT]} | ${ticked(codes.map(([code]) => code))} |`;
  });
  return ['| exit code | means | `error.code` |', '|---|---|---|', ...rows].join('\n');
}

type Parts = Readonly<Record<string, () => string>>;

/** Every part between `<!-- begin NAME -->` and `<!-- end -->`. */
const CONFIGURATION: Parts = {
  file: () => tableOf(ConfigSchema),
  agent: () => tableOf(AgentSchema),
  upstream: () => tableOf(UpstreamSchema),
  chain: () => tableOf(ChainSchema),
  registry: () => tableOf(RegistrySchema),
  sharedkey: () => tableOf(SharedKeySchema),
  operator: () => tableOf(OperatorSchema),
  environment,
};

/** Pages with parts that are written. */
export const PAGES: Readonly<Record<string, Parts>> = {
  'docs/configuration.md': CONFIGURATION,
  'docs/cli.md': { exits, commands: commandReferences },
};

/** The page with every part written anew. @throws {RangeError} for a part that nothing writes, or that is not there */
export function writeParts(text: string, parts: Parts): string {
  const missing = new Set(Object.keys(parts));
  const written = text.replace(
    /<!-- begin (\w+) -->\n[\s\S]*?\n<!-- end -->/g,
    (_whole: string, name: string) => {
      const part = parts[name];
      if (part === undefined) throw new RangeError(`nothing writes the part "${name}"`);
      missing.delete(name);
      return `<!-- begin ${name} -->\n${part()}\n<!-- end -->`;
    },
  );
  if (missing.size > 0) throw new RangeError(`the page has no part ${[...missing].join(', ')}`);
  return written;
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > width) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

/** `.env.example`. */
export function envExample(): string {
  const head = wrapped(
    'Every variable the gateway reads; the value shown is the default, commented out where the default is "none". Units stand in the names. All faults are reported at once, at start. Written by `npm run docs`.',
    120,
  );
  const groups = Object.entries<Readonly<Record<string, Declaration>>>(GROUPS).map(([group, variables]) => {
    const entries = Object.entries(variables).map(([name, declaration]) => {
      const form = formOf(declaration).replaceAll('`', '');
      const value =
        declaration.fallback === null
          ? `#${name}=${declaration.example ?? ''}`
          : `${name}=${declaration.fallback}`;
      return [...wrapped(`${declaration.meaning} (${form})`, 120), value].join('\n');
    });
    return [`# --- ${group} ---`, ...entries].join('\n\n');
  });
  return `${[head.join('\n'), ...groups].join('\n\n')}\n`;
}

function published(schema: TSchema, file: string, title: string): string {
  const document = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `urn:sage:schema:${file}`,
    title,
    ...JSON.parse(JSON.stringify(schema)),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** JSON Schemas for editors and other tools, by path. */
export const SCHEMAS: Readonly<Record<string, () => string>> = {
  'docs/schema/sage.json': () => published(ConfigSchema, 'sage', 'sage.yaml of Sage Gateway'),
  'docs/schema/cli.json': () => published(AnswerSchema, 'cli', 'What sage prints with --json'),
  'docs/schema/policy.json': () => published(PolicySet, 'policy', 'policy.yaml of Sage Gateway'),
};
