/** Reads a Dockerfile and a .dockerignore as far as this project uses them; what it does not know it refuses. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Instruction {
  readonly name: string;
  readonly flags: Readonly<Record<string, string>>;
  /** What follows the flags. */
  readonly rest: string;
}

export interface Stage {
  readonly base: string;
  /** After AS, or empty. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

const KNOWN = new Set('FROM WORKDIR COPY RUN LABEL ENV USER EXPOSE HEALTHCHECK ENTRYPOINT CMD'.split(' '));

/** @throws Error on an instruction that nothing here follows. */
export function parseDockerfile(text: string): Stage[] {
  const lines = text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.trim());
  const stages: { base: string; name: string; instructions: Instruction[] }[] = [];
  for (const line of lines.filter((each) => each !== '')) {
    const [, name = '', flagged = '', rest = ''] = /^([A-Z]+)((?:\s+--[\w-]+=\S+)*)\s+(.*)$/.exec(line) ?? [];
    if (!KNOWN.has(name)) throw new Error(`not followed: ${line}`);
    if (name === 'FROM') {
      const [base = '', , as = ''] = rest.split(/\s+/);
      stages.push({ base, name: as, instructions: [] });
      continue;
    }
    const flags = [...flagged.matchAll(/--([\w-]+)=(\S+)/g)].map(([, key = '', value = '']) => [key, value]);
    stages.at(-1)?.instructions.push({ name, flags: Object.fromEntries(flags), rest });
  }
  return stages;
}

/** The words of an instruction in its JSON form, which no shell reads. @throws Error when it has another form */
export function execForm(text: string): string[] {
  const words: unknown = JSON.parse(text);
  if (!Array.isArray(words)) throw new Error(`not in exec form: ${text}`);
  return words.map(String);
}

/** `A=b C="d e"` of ENV and LABEL. */
export function assignments(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/([\w.]+)=("[^"]*"|\S+)/g)];
  return Object.fromEntries(pairs.map(([, name = '', value = '']) => [name, value.replace(/^"|"$/g, '')]));
}

/** A `*` stands for names that begin with a point too, as Docker has it and `matchesGlob` has not. */
function expressionOf(glob: string): RegExp {
  if (/[?[\\]|\*\*/.test(glob)) throw new Error(`not followed: ${glob}`);
  return new RegExp(`^${glob.replace(/[.+^${}()|]/g, '\\$&').replaceAll('*', '[^/]*')}$`);
}

/** The files that a builder is sent: the last pattern that names a file or a folder above it decides. */
export function contextFiles(root: string, ignore: string): string[] {
  const patterns = ignore
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ glob: line.replace(/^!/, ''), letsIn: line.startsWith('!') }))
    .map((pattern) => ({ ...pattern, expression: expressionOf(pattern.glob) }));
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      const above = path.split('/').map((_part, at, parts) => parts.slice(0, at + 1).join('/'));
      const last = patterns.findLast(({ expression }) => above.some((each) => expression.test(each)));
      const isIn = last === undefined || last.letsIn;
      const leadsIn = patterns.some(({ glob, letsIn }) => letsIn && glob.startsWith(`${path}/`));
      if (entry.isDirectory() && (isIn || leadsIn)) walk(path);
      else if (isIn && !entry.isDirectory()) found.push(path);
    }
  };
  walk('');
  return found.sort();
}
