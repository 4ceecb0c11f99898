/** `sage status`: what a running gateway is doing. */
import type { Command } from 'commander';
import { command, runs, type Shell } from '../frame.ts';
import { asksGateway, memberOf, type OperatorOptions, operatorClient } from '../operator-client.ts';
import { flattened, pairs } from '../text.ts';

export function statusCommand(shell: Shell): Command {
  const made = asksGateway(
    command('status', 'what a running gateway is doing: version, parts, agents, circuits', [
      'sage status',
      'sage status --url https://gateway.example --key-file operator.key --json',
    ]),
  );
  return runs<OperatorOptions>(shell, made, async (frame, options) => {
    const client = await operatorClient(frame, options);
    const { body } = await client('GET', '/v1/status');
    return {
      data: body,
      lines: (pen) => {
        const store = memberOf(body, 'store');
        const writable = memberOf(store, 'writable') !== false && memberOf(store, 'connected') !== false;
        const open = Number(memberOf(memberOf(body, 'circuits'), 'open') ?? 0);
        const notes = [
          ...(writable ? [] : [`${pen.mark('!')} the database takes no writes now`]),
          ...(open > 0 ? [`${pen.mark('!')} ${open} circuits are open`] : []),
        ];
        return [
          ...pairs(flattened(body), pen),
          ...(notes.length > 0 ? notes : [`${pen.mark('+')} it serves`]),
        ];
      },
    };
  });
}
