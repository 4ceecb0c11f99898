/** `sage explain`: the story of one request. */
import type { Command } from 'commander';
import { command, runs, type Shell } from '../frame.ts';
import { asksGateway, memberOf, type OperatorOptions, operatorClient } from '../operator-client.ts';
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
  'did',
  'key_id',
  'agent',
  'agent_id',
  'effect',
  'rule',
  'rule_id',
  'reason',
  'status',
  'code',
  'cure',
]);

function story(decision: unknown, pen: Pen): string[] {
  const text = (...names: string[]): string => {
    const found = names
      .map((name) => memberOf(decision, name))
      .find((value) => value !== undefined && value !== null && value !== '');
    return found === undefined ? '' : plain(String(found as string | number));
  };
  const status = Number(text('status'));
  const code = text('code');
  const line = (mark: Mark, what: string): string => `${pen.mark(mark)} ${what}`;
  const caller = text('caller', 'did');
  const rule = text('rule', 'rule_id');
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
  if (text('agent', 'agent_id') !== '') lines.push(line('*', `for agent ${text('agent', 'agent_id')}`));
  if (code === '') lines.push(line('+', `answered ${status}`));
  else {
    lines.push(line('-', `refused with ${status} ${pen.strong(code)}`));
    if (text('cure') !== '') lines.push(line('!', text('cure')));
    lines.push(line('*', `what it means: docs/errors.md, ${code}`));
  }
  const rest = flattened(decision).filter(([name]) => !TOLD.has(name.split('.', 1)[0] ?? ''));
  return rest.length === 0 ? lines : [...lines, '', ...pairs(rest, pen)];
}
