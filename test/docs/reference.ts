/** What the manual says of settings, written from the schemas: `npm run docs` puts it in place, a test compares. */
import type { TSchema } from 'typebox';
import { AgentSchema, UpstreamSchema } from '../../src/agents/entry.ts';
import { ChainSchema, ConfigSchema, OperatorSchema, RegistrySchema } from '../../src/config-schema.ts';
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

/** Every part of `docs/configuration.md` between `<!-- begin NAME -->` and `<!-- end -->`. */
const PARTS: Readonly<Record<string, () => string>> = {
  file: () => tableOf(ConfigSchema),
  agent: () => tableOf(AgentSchema),
  upstream: () => tableOf(UpstreamSchema),
  chain: () => tableOf(ChainSchema),
  registry: () => tableOf(RegistrySchema),
  operator: () => tableOf(OperatorSchema),
  environment,
};

/** The page with every part written anew. @throws {RangeError} for a part that nothing writes, or that is not there */
export function writeParts(text: string): string {
  const missing = new Set(Object.keys(PARTS));
  const written = text.replace(
    /<!-- begin (\w+) -->\n[\s\S]*?\n<!-- end -->/g,
    (_whole: string, name: string) => {
      const part = PARTS[name];
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
  'docs/schema/policy.json': () => published(PolicySet, 'policy', 'policy.yaml of Sage Gateway'),
};
