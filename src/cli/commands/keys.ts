/** `sage keys`: API keys of operators. */
import { Command, Option } from 'commander';
import { reserveSecretFile } from '../files.ts';
import { type Answer, command, type Frame, runs, type Shell } from '../frame.ts';
import { wholeNumber } from '../numbers.ts';
import {
  asksGateway,
  member,
  memberOf,
  type OperatorOptions,
  operatorClient,
  type Reply,
  textOf,
} from '../operator-client.ts';
import { listOf, removalOf } from './resources.ts';

export function keysCommand(shell: Shell): Command {
  return new Command('keys')
    .description("make, rotate and revoke operators' API keys")
    .addCommand(
      listOf(shell, {
        summary: 'the keys, without their secrets',
        example: 'sage keys list',
        path: '/v1/api-keys',
        columns: [
          { title: 'ID', text: member('id') },
          { title: 'NAME', text: member('name') },
          { title: 'ROLE', text: member('role') },
          { title: 'EXPIRES', text: member('expires_at') },
          { title: 'LAST USED', text: member('last_used_at') },
          { title: 'REVOKED', text: member('revoked_at') },
        ],
        mark: (row) => (typeof memberOf(row, 'revoked_at') === 'string' ? '-' : '+'),
        none: 'no keys but OPERATOR_API_KEY',
      }),
    )
    .addCommand(createCommand(shell))
    .addCommand(rotateCommand(shell))
    .addCommand(
      removalOf(shell, {
        name: 'revoke',
        summary: 'end a key now, on every node',
        example: 'sage keys revoke sage_1f0c2d3e4b',
        path: '/v1/api-keys',
        done: ['revoked', 'is revoked'],
      }),
    );
}

interface Secret {
  readonly out?: string;
}

/**
 * Asks for a new secret, which is shown once: on standard output, or in a file for its owner alone, made before the
 * gateway is asked.
 */
async function withSecret(frame: Frame, { out }: Secret, ask: () => Promise<Reply>): Promise<Answer> {
  const file = out === undefined ? null : reserveSecretFile(out);
  let body: unknown;
  try {
    ({ body } = await ask());
  } catch (error) {
    file?.release();
    throw error;
  }
  const key = textOf(body, 'key', '');
  file?.write(`${key}\n`);
  if (file === null) frame.note('[!] it is shown this once; the gateway keeps only its hash');
  const data = file === null ? body : { ...Object(body), key: null, file: out };
  return { data, lines: (pen) => (file === null ? [key] : [`${pen.mark('+')} the key is in ${out}`]) };
}

function outOption(made: Command): Command {
  return made.option('--out <file>', 'write the key there, for you alone to read, instead of printing it');
}

function createCommand(shell: Shell): Command {
  const made = outOption(
    asksGateway(
      command('create', 'make a key; it is shown once', [
        'sage keys create grafana --role viewer --scope telemetry:read --expires 2027-01-01T00:00:00Z --out grafana.key',
      ]),
    ),
  )
    .argument('<name>', 'what it is for')
    .addOption(
      new Option('--role <role>', 'what it may do')
        .choices(['viewer', 'operator', 'admin'])
        .default('viewer'),
    )
    .option(
      '--scope <scope>',
      'narrow the role to this; may be repeated',
      (value: string, before: string[]) => [...before, value],
      [],
    )
    .option('--expires <time>', 'when it ends, such as 2027-01-01T00:00:00Z');
  return runs<
    OperatorOptions &
      Secret & { readonly role: string; readonly scope: readonly string[]; readonly expires?: string }
  >(shell, made, async (frame, options, [name = '']) => {
    const client = await operatorClient(frame, options);
    const call = {
      body: {
        name,
        role: options.role,
        ...(options.scope.length === 0 ? {} : { scopes: options.scope }),
        ...(options.expires === undefined ? {} : { expires_at: options.expires }),
      },
    };
    return withSecret(frame, options, () => client('POST', '/v1/api-keys', call));
  });
}

function rotateCommand(shell: Shell): Command {
  const made = outOption(
    asksGateway(
      command('rotate', 'give a key a new secret; the old one lives on for a while', [
        'sage keys rotate sage_1f0c2d3e4b --grace 3600 --out new.key',
      ]),
    ),
  )
    .argument('<id>')
    .option('--grace <seconds>', 'how long the old secret still counts', wholeNumber(0, 2_592_000), 86_400);
  return runs<OperatorOptions & Secret & { readonly grace: number }>(
    shell,
    made,
    async (frame, options, [id = '']) => {
      const client = await operatorClient(frame, options);
      const call = { body: { grace_seconds: options.grace } };
      const path = `/v1/api-keys/${encodeURIComponent(id)}/rotate`;
      return withSecret(frame, options, () => client('POST', path, call));
    },
  );
}
