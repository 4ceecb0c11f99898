/** `sage sign`: the fields that prove a request, or the curl line that sends it. */
import { type Command, InvalidArgumentError } from 'commander';
import { CliError } from '../errors.ts';
import { readBytes, readText } from '../files.ts';
import { command, runs, type Shell } from '../frame.ts';
import { wholeNumber } from '../numbers.ts';
import { signerFor } from '../signer.ts';
import { curlOf } from './curl.ts';

interface Options {
  readonly keyFile?: string;
  readonly keyId?: string;
  readonly header: readonly string[];
  readonly headerFile?: string;
  readonly data?: string;
  readonly bodyFile?: string;
  readonly cover: readonly string[];
  readonly expiresIn?: number;
  readonly curl: boolean;
}

/** Their values are secrets: other users of the machine see the arguments of a process. */
const SECRET_FIELDS = /^(?:authorization|cookie|proxy-authorization|x-api-key)\s*:/i;

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function header(value: string, before: readonly string[]): string[] {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*:/.test(value))
    throw new InvalidArgumentError('write it as "name: value".');
  return collect(value, before);
}

const seconds = wholeNumber(1, 3_600);

export function signCommand(shell: Shell): Command {
  const made = command('sign', 'sign a request by RFC 9421; prints the fields to add, or a curl line', [
    'sage sign --key-file caller.jwk GET http://127.0.0.1:8080/agents/echo/hello',
    'sage sign --key-file caller.jwk --curl --data \'{"city":"Seoul"}\' -H "content-type: application/json" POST https://gateway.example/agents/weather/ask',
  ])
    .argument('<method>', 'upper case, such as GET')
    .argument('<url>', 'as the gateway publishes it')
    .option('--key-file <file>', 'private key, JWK or PEM (or SAGE_PRIVATE_KEY_FILE)')
    .option('--key-id <did-url>', "the key's name; left out: its did:key")
    .option('-H, --header <line>', 'a field that is sent, "name: value"; may be repeated', header, [])
    .option('--header-file <file>', 'more of them, one a line: for those that are secrets')
    .option('--data <text>', 'the body')
    .option('--body-file <file>', 'the body from a file, or - for standard input')
    .option('--cover <component>', 'cover this field, too; may be repeated', collect, [])
    .option('--expires-in <seconds>', 'until the signature expires by itself', seconds)
    .option('--curl', 'print a curl line that sends the request', false);
  return runs<Options>(shell, made, async (frame, options, [method = '', url = '']) => {
    const body = bodyOf(options);
    const { signRequest } = await import('../../sdk/sign.ts');
    const signed = await signRequest(
      { method, url, headers: headersOf(options), body },
      await signerFor(frame, options),
      {
        cover: options.cover,
        ...(options.expiresIn === undefined ? {} : { expiresInSeconds: options.expiresIn }),
      },
    );
    const curl = curlOf(signed, { file: options.bodyFile, text: options.data });
    const headers = signed.headers.map(([name, value]) => ({ name, value }));
    return {
      data: { method: signed.method, url: signed.url, headers, curl },
      lines: () => (options.curl ? [curl] : signed.headers.map(([name, value]) => `${name}: ${value}`)),
    };
  });
}

function bodyOf({ data, bodyFile }: Options): Uint8Array | undefined {
  if (data !== undefined && bodyFile !== undefined)
    throw new CliError('usage', '--data and --body-file cannot both be given');
  if (bodyFile !== undefined) return readBytes(bodyFile);
  return data === undefined ? undefined : new TextEncoder().encode(data);
}

function headersOf({ header: lines, headerFile }: Options): [string, string][] {
  const secret = lines.find((line) => SECRET_FIELDS.test(line));
  if (secret !== undefined)
    throw new CliError(
      'secret_on_command_line',
      `put ${secret.split(':')[0]} into a file and name it with --header-file`,
    );
  const fromFile =
    headerFile === undefined
      ? []
      : readText(headerFile)
          .split(/\r?\n/)
          .filter((line) => line !== '');
  return [...lines, ...fromFile].map((line) => {
    const at = line.indexOf(':');
    if (at < 1) throw new CliError('usage', 'a field is written "name: value"');
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
}
