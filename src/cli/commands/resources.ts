/** What commands over lists of the operators' API have in common: showing one, and taking one item away. */
import type { Command } from 'commander';
import { command, runs, type Shell } from '../frame.ts';
import { asksGateway, listed, type OperatorOptions, operatorClient } from '../operator-client.ts';
import { type TableOptions, table } from '../text.ts';
import { type Limited, limitOption } from './limit.ts';

export interface ListOptions extends TableOptions<unknown> {
  readonly name?: string;
  readonly summary: string;
  readonly example: string;
  /** Below the gateway's origin. */
  readonly path: string;
}

/** `sage … list`: a table, or all items with `--json`. */
export function listOf(
  shell: Shell,
  { name = 'list', summary, example, path, ...options }: ListOptions,
): Command {
  const made = limitOption(asksGateway(command(name, summary, [example, `${example} --json`])));
  return runs<OperatorOptions & Limited>(shell, made, async (frame, { limit, ...where }) => {
    const { items, more } = await listed(await operatorClient(frame, where), path, limit);
    return { data: { items, more }, lines: (pen) => table(items, options, pen) };
  });
}

export interface RemovalOptions {
  readonly name: string;
  readonly summary: string;
  readonly example: string;
  readonly path: string;
  /** What is true of it then: a member of the answer, and the end of the sentence. */
  readonly done: readonly [member: string, text: string];
}

/** `sage … remove <id>`, by whatever name. */
export function removalOf(shell: Shell, { name, summary, example, path, done }: RemovalOptions): Command {
  const made = asksGateway(command(name, summary, [example])).argument('<id>');
  return runs<OperatorOptions>(shell, made, async (frame, options, [id = '']) => {
    const client = await operatorClient(frame, options);
    await client('DELETE', `${path}/${encodeURIComponent(id)}`);
    const [member, text] = done;
    return { data: { id, [member]: true }, lines: (pen) => [`${pen.mark('+')} ${id} ${text}`] };
  });
}
