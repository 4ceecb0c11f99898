/** `sage keygen`: a key pair, and the identity that is its public half. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { writeFile } from '../files.ts';
import { command, runs, type Shell } from '../frame.ts';
import { pairs } from '../text.ts';

interface Options {
  readonly algorithm: 'ed25519' | 'ecdsa-p256-sha256' | 'ecdsa-p384-sha384' | 'rsa-pss-sha512';
  readonly out: string;
  readonly format: 'jwk' | 'pem';
  readonly force: boolean;
}

export function keygenCommand(shell: Shell): Command {
  const made = command('keygen', 'make a key pair; prints its DID, writes the private key to a file', [
    'sage keygen --out caller.jwk',
    'sage keygen --algorithm ecdsa-p256-sha256 --format pem --out caller.pem',
  ])
    .addOption(
      new Option('--algorithm <name>', 'of the signatures it makes')
        .choices(['ed25519', 'ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'rsa-pss-sha512'])
        .default('ed25519'),
    )
    .option('--out <file>', 'where the private key is written, for you alone to read', 'sage-key.jwk')
    .addOption(
      new Option('--format <form>', 'JSON Web Key, or PKCS #8 in PEM').choices(['jwk', 'pem']).default('jwk'),
    )
    .option('--force', 'replace the file', false);
  return runs<Options>(shell, made, async (frame, options) => {
    const { generateKeyPair } = await import('../../sdk/signer.ts');
    const pair = await frame.waiting('making a key', generateKeyPair(options.algorithm));
    writeFile(options.out, await written(pair, options.format), { force: options.force, secret: true });
    const data = {
      algorithm: pair.algorithm,
      did: pair.did,
      key_id: pair.keyId,
      public_jwk: pair.publicJwk,
      file: options.out,
    };
    return {
      data,
      lines: (pen) => [
        `${pen.mark('+')} the private key is in ${options.out}; keep it, and give it to nobody`,
        ...pairs(
          [
            ['did', data.did],
            ['key id', data.key_id],
            ['algorithm', data.algorithm],
            ['public key', JSON.stringify(data.public_jwk)],
          ],
          pen,
        ),
      ],
    };
  });
}

async function written(
  { keyId, privateJwk }: { readonly keyId: string; readonly privateJwk: object },
  format: Options['format'],
): Promise<string> {
  if (format === 'jwk') return `${JSON.stringify({ ...privateJwk, kid: keyId }, null, 2)}\n`;
  const { createPrivateKey } = await import('node:crypto');
  const key = createPrivateKey({ key: { ...privateJwk }, format: 'jwk' });
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
