/** `sage completion`: what a shell needs to complete the command, written from the program itself. */
import { Argument, type Command, type Option } from 'commander';
import { command, runs, type Shell } from '../frame.ts';

/** @param program is asked when the command runs, when every command is there */
export function completionCommand(shell: Shell, program: () => Command): Command {
  const made = command('completion', 'print completion for your shell', [
    'sage completion bash > ~/.local/share/bash-completion/completions/sage',
    'sage completion zsh > ~/.zfunc/_sage',
    'sage completion fish > ~/.config/fish/completions/sage.fish',
  ]).addArgument(new Argument('<shell>', 'which').choices(['bash', 'zsh', 'fish']));
  return runs(shell, made, async (_frame, _options, [name = 'bash']) => {
    const words = wordsOf(program(), '');
    const script = name === 'bash' ? bash(words) : name === 'zsh' ? zsh(words) : fish(words);
    return { data: { shell: name, script }, lines: () => [script] };
  });
}

interface Words {
  /** `` for `sage`, `agents add` for `sage agents add`. */
  readonly path: string;
  readonly commands: readonly string[];
  readonly options: readonly string[];
}

function wordsOf(of: Command, path: string): Words[] {
  const named = (option: Option): string[] =>
    [option.long, option.short].filter((name) => name !== null && name !== undefined);
  const own = {
    path,
    commands: of.commands.map((below) => below.name()),
    options: [...of.options.flatMap(named), '--help'],
  };
  return [
    own,
    ...of.commands.flatMap((below) => wordsOf(below, path === '' ? below.name() : `${path} ${below.name()}`)),
  ];
}

function cases(words: readonly Words[], indent: string): string {
  return words
    .map(
      ({ path, commands, options }) =>
        `${indent}"${path}") words="${[...commands, ...options].join(' ')}" ;;`,
    )
    .join('\n');
}

/** Words of commands, as far as they are commands: options and arguments end the path. */
const PATH_OF_WORDS = `    case "$word" in
      -*) continue ;;
    esac
    case " $known " in
      *" $word "*) path="\${path:+$path }$word" ;;
    esac`;

function knownOf(words: readonly Words[]): string {
  return [...new Set(words.flatMap(({ commands }) => commands))].join(' ');
}

function bash(words: readonly Words[]): string {
  return `# bash completion for sage
_sage() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" word words=""
  local known="${knownOf(words)}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
${PATH_OF_WORDS}
  done
  case "$path" in
${cases(words, '    ')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ \${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$current"))
  return 0
}
complete -F _sage sage`;
}

function zsh(words: readonly Words[]): string {
  return `#compdef sage
_sage() {
  local path="" word words_of=""
  local known="${knownOf(words)}"
  for word in "\${words[@]:1:$((CURRENT-2))}"; do
${PATH_OF_WORDS}
  done
  local words=""
  case "$path" in
${cases(words, '    ')}
  esac
  compadd -- \${=words} || _files
}
compdef _sage sage`;
}

function fish(words: readonly Words[]): string {
  const lines = words.flatMap(({ path, commands, options }) => {
    const seen =
      path === ''
        ? '__fish_use_subcommand'
        : path
            .split(' ')
            .map((name) => `__fish_seen_subcommand_from ${name}`)
            .join('; and ');
    return [
      ...(commands.length === 0 ? [] : [`complete -c sage -n '${seen}' -f -a '${commands.join(' ')}'`]),
      ...options
        .filter((name) => name.startsWith('--'))
        .map((name) => `complete -c sage -n '${seen}' -l '${name.slice(2)}'`),
    ];
  });
  return ['# fish completion for sage', ...lines].join('\n');
}
