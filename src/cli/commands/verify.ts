/** `sage verify`: why a signature holds or does not, offline. */
import { type Command, InvalidArgumentError } from 'commander';
import { EXIT } from '../errors.ts';
import { readBytes, readText } from '../files.ts';
import { command, runs, type Shell } from '../frame.ts';
import { wholeNumber } from '../numbers.ts';
import type { Proof, Step } from '../proof.ts';
import { jwkOf } from '../signer.ts';
import { type Pen, plain } from '../text.ts';

interface Options {
  readonly origin?: string;
  readonly publicKey?: string;
  readonly bodyFile?: string;
  readonly at?: number;
  readonly ignoreTime: boolean;
  readonly maxAge: number;
  readonly clockSkew: number;
}

function instant(text: string): number {
  const value = /^\d{1,12}$/.test(text) ? Number(text) : Date.parse(text) / 1_000;
  if (!Number.isFinite(value))
    throw new InvalidArgumentError('write 2026-11-26T10:00:00Z, or seconds since 1970.');
  return value;
}

const seconds = wholeNumber(0, 315_360_000);

/** What usually mends it. */
const HINTS: Readonly<Record<string, string>> = {
  signature_invalid:
    'compare the base below with what the caller signed, byte for byte: most often the origin, the path or a field differs (see --origin)',
  signature_too_old:
    'a captured request is an old one: --at says when it was made, --ignore-time skips the check',
  coverage_insufficient: 'the caller must cover it; every part that is not covered could have been changed',
  digest_mismatch:
    'the captured body is not the one that was signed; was it compressed, or its line ends changed?',
  parameter_missing: 'the caller must add it',
  key_unusable: 'only did:key and did:jwk carry their key; for other names give it with --public-key',
};

export function verifyCommand(shell: Shell): Command {
  const made = command(
    'verify',
    'check the signature of a captured request, offline; shows the base and what fails',
    [
      'sage verify captured.http',
      'curl --verbose ... 2>&1 | sage verify --origin https://gateway.example --ignore-time -',
    ],
  )
    .argument('[file]', 'an HTTP/1.1 message, or what curl --verbose wrote; - is standard input', '-')
    .option('--origin <url>', 'how the server was called; left out: by the Host field')
    .option(
      '--public-key <file>',
      "the caller's public key, JWK or PEM; left out: from its did:key or did:jwk",
    )
    .option('--body-file <file>', 'the body, when it is not in the file')
    .option('--at <time>', 'the moment to check at; left out: now', instant)
    .option('--ignore-time', 'do not check time', false)
    .option('--max-age <seconds>', 'how old a signature may be', seconds, 60)
    .option('--clock-skew <seconds>', 'how far ahead a clock may be', seconds, 5);
  return runs<Options>(shell, made, async (_frame, options, [file = '-']) => {
    const [{ readCaptured }, { originOf, proveCaptured }] = await Promise.all([
      import('../captured.ts'),
      import('../proof.ts'),
    ]);
    const body = options.bodyFile === undefined ? null : readBytes(options.bodyFile);
    const request = readCaptured(readBytes(file), body);
    const proof = await proveCaptured(request, {
      origin: originOf(request, options.origin),
      publicKey: options.publicKey === undefined ? null : publicKeyOf(readText(options.publicKey)),
      at: options.ignoreTime ? null : (options.at ?? Date.now() / 1_000),
      maxAgeSeconds: options.maxAge,
      clockSkewSeconds: options.clockSkew,
    });
    const { ok, steps, base, keyId, created } = proof;
    return {
      data: { verified: ok, steps, base, key_id: keyId, created },
      lines: (pen) => story(proof, pen),
      exit: ok ? EXIT.ok : EXIT.failed,
    };
  });
}

/** @throws {CliError} key_unusable */
function publicKeyOf(text: string): Readonly<Record<string, unknown>> | string {
  const trimmed = text.trim();
  return trimmed.startsWith('{') ? jwkOf(trimmed) : trimmed;
}

function story({ ok, steps, base }: Proof, pen: Pen): string[] {
  const failed = steps.find((step) => step.ok === false);
  const hint = failed?.code === null || failed === undefined ? undefined : HINTS[failed.code];
  const shown =
    base === null
      ? []
      : ['', pen.faint('the signature base:'), ...base.split('\n').map((line) => `    ${plain(line)}`)];
  return [
    ...steps.map(
      (step) =>
        `${pen.mark(markOf(step))} ${step.name.padEnd(12)}  ${plain(step.says)}${step.code === null ? '' : ` [${step.code}]`}`,
    ),
    ...(hint === undefined ? [] : ['', `${pen.mark('!')} ${hint}`]),
    ...shown,
    '',
    ok
      ? `${pen.mark('+')} ${pen.strong('the signature holds')}`
      : `${pen.mark('-')} ${pen.strong('the signature does not hold')}`,
  ];
}

function markOf({ ok }: Step): '+' | '-' | '*' {
  return ok === null ? '*' : ok ? '+' : '-';
}
