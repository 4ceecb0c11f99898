/** `sage policy`: what decides, and putting another in force. */
import { Command } from 'commander';
import { EXIT } from '../errors.ts';
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
import { pairs, plain } from '../text.ts';
import { listOf } from './resources.ts';

export function policyCommand(shell: Shell): Command {
  return new Command('policy')
    .description('show, check and replace the policy of a running gateway')
    .addCommand(showCommand(shell))
    .addCommand(validateCommand(shell))
    .addCommand(replaceCommand(shell))
    .addCommand(resetCommand(shell))
    .addCommand(
      listOf(shell, {
        name: 'history',
        summary: 'the policies that were put in force, newest first',
        example: 'sage policy history',
        path: '/v1/policy/revisions',
        columns: [
          { title: 'SEQUENCE', text: member('sequence') },
          { title: 'REVISION', text: member('revision') },
          { title: 'WHEN', text: member('created_at') },
          { title: 'BY', text: member('created_by') },
          { title: 'NOTE', text: member('note') },
        ],
        none: 'none was put in force by the API',
      }),
    );
}

const shownMembers = ['revision', 'name', 'rules', 'source', 'sequence', 'updated_at', 'updated_by'];

function showCommand(shell: Shell): Command {
  const made = asksGateway(
    command('show', 'the policy in force', ['sage policy show', 'sage policy show --text > policy.yaml']),
  ).option('--text', 'its YAML alone', false);
  return runs<OperatorOptions & { readonly text: boolean }>(shell, made, async (frame, options) => {
    const client = await operatorClient(frame, options);
    const { body } = await client('GET', '/v1/policy');
    const text = memberOf(body, 'text');
    return {
      data: body,
      lines: (pen) => {
        if (options.text) return typeof text === 'string' ? [text.trimEnd()] : [];
        return pairs(
          shownMembers.map((name) => [name, memberOf(body, name)]),
          pen,
        );
      },
    };
  });
}

function validateCommand(shell: Shell): Command {
  const made = asksGateway(
    command(
      'validate',
      'check a policy by the gateway that would use it, its own tests included; changes nothing',
      ['sage policy validate policy.yaml'],
    ),
  ).argument('<file>', 'YAML; - is standard input');
  return runs<OperatorOptions>(shell, made, async (frame, options, [file = '-']) => {
    const client = await operatorClient(frame, options);
    const { body } = await client('POST', '/v1/policy/validate', { body: { text: readText(file) } });
    const valid = memberOf(body, 'valid') === true;
    const errors = memberOf(body, 'errors');
    return {
      data: body,
      exit: valid ? EXIT.ok : EXIT.failed,
      lines: (pen) => {
        if (valid)
          return [
            `${pen.mark('+')} it can be used: ${textOf(body, 'rules')} rules, revision ${textOf(body, 'revision')}`,
          ];
        const faults = Array.isArray(errors) ? errors : [];
        return faults.map(
          (fault) =>
            `${pen.mark('-')} ${plain(`${file}:${textOf(fault, 'line')}:${textOf(fault, 'column')}: ${textOf(fault, 'message')}`)}`,
        );
      },
    };
  });
}

function replaceCommand(shell: Shell): Command {
  const made = asksGateway(
    command('replace', 'put a policy in force, on every node', [
      'sage policy replace policy.yaml --note "close at night"',
    ]),
  )
    .argument('<file>', 'YAML; - is standard input')
    .option('--note <text>', 'why, for the history', '')
    .option('--if-sequence <number>', 'only if it replaces this one');
  return runs<OperatorOptions & { readonly note: string; readonly ifSequence?: string }>(
    shell,
    made,
    async (frame, options, [file = '-']) => {
      const client = await operatorClient(frame, options);
      const { body } = await client('PUT', '/v1/policy', {
        body: { text: readText(file), note: options.note },
        ...(options.ifSequence === undefined ? {} : { ifMatch: `"${options.ifSequence}"` }),
      });
      return {
        data: body,
        lines: (pen) => [`${pen.mark('+')} revision ${textOf(body, 'revision')} decides now`],
      };
    },
  );
}

function resetCommand(shell: Shell): Command {
  const made = asksGateway(command('reset', 'go back to what sage.yaml says', ['sage policy reset']));
  return runs<OperatorOptions>(shell, made, async (frame, options) => {
    const client = await operatorClient(frame, options);
    const { body } = await client('DELETE', '/v1/policy');
    return { data: body, lines: (pen) => [`${pen.mark('+')} sage.yaml decides again`] };
  });
}
