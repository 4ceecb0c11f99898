/** `sage explain`: the story of one request. */
import type { Command } from 'commander';
import { command, runs, type Shell } from '../frame.ts';
import { asksGateway, type OperatorOptions, operatorClient, textOf } from '../operator-client.ts';
import { flattened, type Mark, type Pen, pairs, plain } from '../text.ts';

export function explainCommand(shell: Shell): Command {
  const made = asksGateway(
    command('explain', 'why a request was let through or refused', [
      'sage explain 01M7YSDPRFRK5PAD26WC4PR07T',
    ]),
  ).argument('<request-id>', 'from the answer, the header x-request-id, or the log');
  return runs<OperatorOptions>(shell, made, async (frame, options, [id = '']) => {
    const client = await operatorClient(frame, options);
    const { body } = await client('GET', `/v1/decisions/${encodeURIComponent(id)}`);
    return { data: body, lines: (pen) => story(body, pen) };
  });
}

/** Members that the sentences tell; the rest follows as a list. */
const TOLD = new Set([
  'request_id',
  'at',
  'method',
  'path',
  'address',
  'caller',
  'key_id',
  'agent',
  'effect',
  'rule',
  'reason',
  'status',
  'code',
]);

function story(decision: unknown, pen: Pen): string[] {
  const text = (name: string): string => plain(textOf(decision, name, ''));
  const code = text('code');
  const line = (mark: Mark, what: string): string => `${pen.mark(mark)} ${what}`;
  const caller = text('caller');
  const rule = text('rule');
  const lines = [
    line('*', `${text('at')}  ${pen.strong(`${text('method')} ${text('path')}`)} from ${text('address')}`),
    caller === ''
      ? line(code === '' ? '*' : '!', 'nobody was proven')
      : line('+', `proven: ${caller}${text('key_id') === '' ? '' : `, by ${text('key_id')}`}`),
  ];
  const effect = text('effect');
  const reason = text('reason');
  if (effect === 'allow' || effect === 'deny')
    lines.push(
      line(
        effect === 'allow' ? '+' : '-',
        `the policy said ${effect}${rule === '' ? ', by no rule' : ` by rule ${rule}`}${reason === '' ? '' : `: ${reason}`}`,
      ),
    );
  else lines.push(line('*', 'the policy was not asked'));
  if (text('agent') !== '') lines.push(line('*', `for agent ${text('agent')}`));
  if (code === '') lines.push(line('+', `answered ${text('status')}`));
  else {
    lines.push(line('-', `refused with ${text('status')} ${pen.strong(code)}`));
    lines.push(line('*', `what it means: docs/errors.md, ${code}`));
  }
  const rest = flattened(decision).filter(([name]) => !TOLD.has(name.split('.', 1)[0] ?? ''));
  return rest.length === 0 ? lines : [...lines, '', ...pairs(rest, pen)];
}
