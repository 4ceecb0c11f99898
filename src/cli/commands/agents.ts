/** `sage agents`: those a gateway serves, and changing them while it runs. */
import { Command } from 'commander';
import { CliError } from '../errors.ts';
import { readText } from '../files.ts';
import { command, runs, type Shell } from '../frame.ts';
import {
  asksGateway,
  member,
  memberOf,
  type OperatorOptions,
  operatorClient,
  textOf,
} from '../operator-client.ts';
import { flattened, pairs } from '../text.ts';
import { listOf, removalOf } from './resources.ts';

export function agentsCommand(shell: Shell): Command {
  return new Command('agents')
    .description('list, add, change and remove the agents behind the gateway')
    .addCommand(
      listOf(shell, {
        summary: 'the agents that are served',
        example: 'sage agents list',
        path: '/v1/agents',
        columns: [
          { title: 'AGENT', text: member('id') },
          { title: 'FROM', text: member('source') },
          { title: 'CALLERS', text: member('authentication') },
          { title: 'UPSTREAMS', text: upstreamsOf },
        ],
        mark: (agent) => (memberOf(agent, 'shadowed') === true ? '!' : '+'),
        none: 'no agents',
      }),
    )
    .addCommand(showCommand(shell))
    .addCommand(addCommand(shell))
    .addCommand(setCommand(shell))
    .addCommand(
      removalOf(shell, {
        name: 'remove',
        summary: 'stop serving an agent that was added',
        example: 'sage agents remove weather',
        path: '/v1/agents',
        done: ['removed', 'is no longer served'],
      }),
    );
}

function upstreamsOf(agent: unknown): string {
  const upstreams = memberOf(agent, 'upstreams');
  return Array.isArray(upstreams)
    ? upstreams
        .map((entry) => (typeof entry === 'string' ? entry : textOf(entry, 'url', textOf(entry, 'origin'))))
        .join(' ')
    : '';
}

function showCommand(shell: Shell): Command {
  const made = asksGateway(
    command('show', 'one agent, with every setting', ['sage agents show weather']),
  ).argument('<id>');
  return runs<OperatorOptions>(shell, made, async (frame, options, [id = '']) => {
    const client = await operatorClient(frame, options);
    const { body } = await client('GET', `/v1/agents/${encodeURIComponent(id)}`);
    return { data: body, lines: (pen) => pairs(flattened(body), pen) };
  });
}

interface Entry {
  readonly upstream: readonly string[];
  readonly allow: readonly string[];
  readonly authentication?: string;
  readonly file?: string;
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function entryOptions(made: Command): Command {
  return made
    .option('--upstream <origin>', 'where an instance listens; may be repeated', collect, [])
    .option('--allow <did>', 'who may call when there is no policy; may be repeated', collect, [])
    .option('--authentication <how>', 'required or none')
    .option('--file <file>', 'the whole entry as JSON, in the words of sage.yaml; - is standard input');
}

function entryOf({ upstream, allow, authentication, file }: Entry): Readonly<Record<string, unknown>> {
  const fromFile = file === undefined ? {} : readJson(file);
  return {
    ...fromFile,
    ...(upstream.length === 0 ? {} : { upstreams: upstream }),
    ...(allow.length === 0 ? {} : { allow }),
    ...(authentication === undefined ? {} : { authentication }),
  };
}

function readJson(file: string): Readonly<Record<string, unknown>> {
  try {
    const read: unknown = JSON.parse(readText(file));
    if (typeof read === 'object' && read !== null && !Array.isArray(read)) return { ...read };
  } catch (error) {
    if (error instanceof CliError) throw error;
  }
  throw new CliError('file_unreadable', `${file} holds no JSON object`);
}

function addCommand(shell: Shell): Command {
  const made = entryOptions(
    asksGateway(
      command('add', 'serve one more agent, on every node, without a restart', [
        'sage agents add weather --upstream http://10.0.0.5:9100 --allow "did:key:*"',
        'sage agents add weather --file weather.json',
      ]),
    ).argument('<id>', 'what stands in the path: /agents/<id>/'),
  );
  return runs<OperatorOptions & Entry>(shell, made, async (frame, options, [id = '']) => {
    const client = await operatorClient(frame, options);
    const { body } = await client('POST', '/v1/agents', { body: { ...entryOf(options), id } });
    return { data: body, lines: (pen) => [`${pen.mark('+')} ${id} is served at /agents/${id}/`] };
  });
}

function setCommand(shell: Shell): Command {
  const made = entryOptions(
    asksGateway(
      command('set', 'change some settings of an agent; the others stay', [
        'sage agents set weather --upstream http://10.0.0.5:9100 --upstream http://10.0.0.6:9100',
      ]),
    ).argument('<id>'),
  ).option('--if-version <number>', 'only if it still is this version');
  return runs<OperatorOptions & Entry & { readonly ifVersion?: string }>(
    shell,
    made,
    async (frame, options, [id = '']) => {
      const client = await operatorClient(frame, options);
      const { body } = await client('PATCH', `/v1/agents/${encodeURIComponent(id)}`, {
        body: entryOf(options),
        ...(options.ifVersion === undefined ? {} : { ifMatch: `"${options.ifVersion}"` }),
      });
      return { data: body, lines: (pen) => [`${pen.mark('+')} ${id} is changed`] };
    },
  );
}
