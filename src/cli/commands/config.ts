/** `sage config check`: every fault of the settings at once, without starting anything. */
import { Command } from 'commander';
import { EXIT } from '../errors.ts';
import { command, runs, type Shell } from '../frame.ts';
import { plain } from '../text.ts';

export function configCommand(shell: Shell): Command {
  return new Command('config').description('look at the settings').addCommand(checkCommand(shell));
}

interface Options {
  readonly config?: string;
  readonly env?: string;
}

function checkCommand(shell: Shell): Command {
  const made = command(
    'check',
    'check the environment, sage.yaml and the policy; exit code 3 when any is wrong',
    ['sage config check', 'sage config check --env .env --config ./sage.yaml'],
  )
    .option('--config <file>', 'instead of CONFIG_FILE')
    .option('--env <file>', 'variables from a file; those that are set already win');
  return runs<Options>(shell, made, async (frame, options) => {
    const { checkSettings } = await import('../check-settings.ts');
    const { faults, notes, files } = await frame.waiting('checking', checkSettings(options));
    return {
      data: { valid: faults.length === 0, faults, notes, files },
      exit: faults.length === 0 ? EXIT.ok : EXIT.configuration,
      lines: (pen) => [
        ...faults.map((fault) => `${pen.mark('-')} ${plain(fault)}`),
        ...notes.map((note) => `${pen.mark('!')} ${plain(note)}`),
        ...(faults.length > 0 ? [] : [`${pen.mark('+')} ${files.join(' and ')} can be used`]),
      ],
    };
  });
}
