/** `sage revoke`: deny a DID or one key of it, now, on every node. */
import { Command } from 'commander';
import { command, runs, type Shell } from '../frame.ts';
import {
  asksGateway,
  member,
  memberOf,
  type OperatorOptions,
  operatorClient,
  textOf,
} from '../operator-client.ts';
import { listOf, removalOf } from './resources.ts';

export function revokeCommand(shell: Shell): Command {
  return new Command('revoke')
    .description('deny a caller whatever its DID document says')
    .addCommand(addCommand(shell))
    .addCommand(
      listOf(shell, {
        summary: 'who is denied',
        example: 'sage revoke list',
        path: '/v1/revocations',
        columns: [
          { title: 'ID', text: member('id') },
          { title: 'DENIED', text: (row) => textOf(row, 'key_id', textOf(row, 'did')) },
          { title: 'SINCE', text: member('created_at') },
          { title: 'UNTIL', text: member('expires_at') },
          { title: 'BY', text: member('created_by') },
          { title: 'REASON', text: member('reason') },
        ],
        none: 'nobody is denied',
      }),
    )
    .addCommand(
      removalOf(shell, {
        name: 'lift',
        summary: 'end a denial',
        example: 'sage revoke lift 8c5f0f0e-5f4a-4c8e-9a57-3f5f3f6b7a10',
        path: '/v1/revocations',
        done: ['lifted', 'is lifted'],
      }),
    );
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
