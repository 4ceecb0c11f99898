/** What `sage` fails with: a stable code, an exit code, and what to do about it. */

/** Exit codes; `docs/cli.md` lists them. */
export const EXIT = {
  ok: 0,
  /** The gateway refused, or what was checked is not right. */
  failed: 1,
  usage: 2,
  configuration: 3,
  unreachable: 4,
  unauthorised: 5,
  notFound: 6,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const CATALOGUE = {
  usage: [EXIT.usage, 'the command was not understood'],
  secret_on_command_line: [
    EXIT.usage,
    'a secret does not belong on a command line, where other users of the machine and the history of the shell can read it',
  ],
  file_unreadable: [EXIT.failed, 'the file cannot be read'],
  file_exists: [EXIT.failed, 'the file is there already; --force replaces it'],
  file_unwritable: [EXIT.failed, 'the file cannot be written'],
  file_open_to_others: [EXIT.failed, 'the file holds a secret and others can read it: chmod 600'],
  key_missing: [EXIT.usage, 'a private key is needed: --key-file, or SAGE_PRIVATE_KEY_FILE'],
  key_unusable: [EXIT.failed, 'the key cannot be used'],
  request_unreadable: [EXIT.failed, 'this is no HTTP request'],
  configuration_invalid: [EXIT.configuration, 'the settings cannot be used'],
  credential_missing: [
    EXIT.unauthorised,
    'an API key is needed: set SAGE_API_KEY, name its file with --key-file, or sign with --sign-with',
  ],
  url_insecure: [
    EXIT.usage,
    'an API key is not sent over http: to another machine: use https:, or sign with --sign-with',
  ],
  gateway_unreachable: [EXIT.unreachable, 'the gateway does not answer'],
  answer_unreadable: [EXIT.failed, 'this is not the answer of a Sage Gateway'],
  unauthorised: [EXIT.unauthorised, 'the gateway does not let this credential in'],
  not_found: [EXIT.notFound, 'there is no such thing'],
  refused: [EXIT.failed, 'the gateway refused'],
  agent_not_started: [EXIT.failed, 'the sample agent did not start'],
  store_failed: [EXIT.failed, 'the database cannot be migrated'],
  internal: [EXIT.failed, 'a fault of this program'],
} as const satisfies Readonly<Record<string, readonly [ExitCode, string]>>;

export type CliErrorCode = keyof typeof CATALOGUE;
export const CLI_ERRORS: Readonly<Record<CliErrorCode, readonly [exit: ExitCode, text: string]>> = CATALOGUE;

export interface CliErrorMore {
  /** Single faults, one a line. */
  readonly faults?: readonly string[];
  /** The gateway's own code and request id, where it was asked. */
  readonly gateway?: { readonly status: number; readonly code: string; readonly requestId: string | null };
  readonly cause?: unknown;
}

export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: CliErrorCode;
  readonly exit: ExitCode;
  readonly faults: readonly string[];
  readonly gateway: CliErrorMore['gateway'];

  /** @param about what it is about: a file, a name, an address; never a secret */
  constructor(code: CliErrorCode, about?: string, more: CliErrorMore = {}) {
    const [exit, text] = CLI_ERRORS[code];
    super(
      about === undefined ? text : `${text}: ${about}`,
      more.cause === undefined ? undefined : { cause: more.cause },
    );
    this.code = code;
    this.exit = exit;
    this.faults = more.faults ?? [];
    this.gateway = more.gateway;
  }
}
