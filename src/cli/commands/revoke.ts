/** `sage revoke`: deny a DID or one key of it, now, on every node. */
import { Command } from 'commander';
import { command, runs, type Shell } from '../frame.ts';
import {
  asksGateway,
  listed,
  memberOf,
  type OperatorOptions,
  operatorClient,
  textOf,
} from '../operator-client.ts';
import { table } from '../text.ts';
import { type Limited, limitOption } from './limit.ts';

export function revokeCommand(shell: Shell): Command {
  return new Command('revoke')
    .description('deny a caller whatever its DID document says')
    .addCommand(addCommand(shell))
    .addCommand(listCommand(shell))
    .addCommand(liftCommand(shell));
}

function addCommand(shell: Shell): Command {
  const made = asksGateway(
    command('add', 'deny a DID, or one key by its absolute DID URL; closes what it has open', [
      'sage revoke add did:web:acme.example --reason "key leaked"',
      'sage revoke add "did:web:acme.example#key-1" --until 2026-12-01T00:00:00Z',
    ]),
  )
    .argument('<did>', 'a DID, or DID#key for one key')
    .option('--reason <text>', 'why, for those who come after', '')
    .option('--until <time>', 'when it ends by itself, such as 2026-12-01T00:00:00Z');
  return runs<OperatorOptions & { readonly reason: string; readonly until?: string }>(
    shell,
    made,
    async (frame, options, [subject = '']) => {
      const client = await operatorClient(frame, options);
      const { body } = await client('POST', '/v1/revocations', {
        body: {
          ...(subject.includes('#') ? { key_id: subject } : { did: subject }),
          reason: options.reason,
          ...(options.until === undefined ? {} : { expires_at: options.until }),
        },
      });
      const closed = Number(memberOf(body, 'closed') ?? 0);
      return {
        data: body,
        lines: (pen) => [
          `${pen.mark('+')} ${subject} is denied; ${closed} exchanges were closed on this node`,
          `${pen.mark('*')} lift it with: sage revoke lift ${textOf(body, 'id')}`,
        ],
      };
    },
  );
}

function listCommand(shell: Shell): Command {
  const made = limitOption(asksGateway(command('list', 'who is denied', ['sage revoke list'])));
  return runs<OperatorOptions & Limited>(shell, made, async (frame, options) => {
    const { items, more } = await listed(
      await operatorClient(frame, options),
      '/v1/revocations',
      options.limit,
    );
    const text = (name: string) => (row: unknown) => textOf(row, name);
    return {
      data: { items, more },
      lines: (pen) =>
        table(
          items,
          {
            columns: [
              { title: 'ID', text: text('id') },
              { title: 'DENIED', text: (row) => textOf(row, 'key_id', textOf(row, 'did')) },
              { title: 'SINCE', text: text('created_at') },
              { title: 'UNTIL', text: text('expires_at') },
              { title: 'BY', text: text('created_by') },
              { title: 'REASON', text: text('reason') },
            ],
            none: 'nobody is denied',
          },
          pen,
        ),
    };
  });
}

function liftCommand(shell: Shell): Command {
  const made = asksGateway(
    command('lift', 'end a denial', ['sage revoke lift 01M7YSDPRFRK5PAD26WC4PR07T']),
  ).argument('<id>');
  return runs<OperatorOptions>(shell, made, async (frame, options, [id = '']) => {
    const client = await operatorClient(frame, options);
    await client('DELETE', `/v1/revocations/${encodeURIComponent(id)}`);
    return { data: { id, lifted: true }, lines: (pen) => [`${pen.mark('+')} ${id} is lifted`] };
  });
}
