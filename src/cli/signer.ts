/** The signer that a command was told to use. */
import type { Signer } from '../sdk/signer.ts';
import { CliError } from './errors.ts';
import { readSecret } from './files.ts';
import type { Frame } from './frame.ts';

export interface SignerChoice {
  readonly keyFile?: string;
  readonly keyId?: string;
}

/** @throws {CliError} key_unusable for what is no JSON object */
export function jwkOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new CliError('key_unusable', 'the file is neither JSON nor PEM', { cause: error });
  }
}

/** A private key as it was written: a JWK is JSON, all else is taken for PEM. */
function keyOf(text: string): Readonly<Record<string, unknown>> | string {
  return text.startsWith('{') ? jwkOf(text) : text;
}

/**
 * From the file that was named, else from `SAGE_PRIVATE_KEY_FILE` or `SAGE_PRIVATE_KEY`.
 * @throws {CliError} key_missing, file_unreadable, file_open_to_others, and the SDK's errors of keys
 */
export async function signerFor(frame: Frame, { keyFile, keyId }: SignerChoice): Promise<Signer> {
  const { createSigner } = await import('../sdk/signer.ts');
  if (keyFile !== undefined) {
    const privateKey = keyOf(readSecret(keyFile));
    return createSigner(keyId === undefined ? { privateKey } : { privateKey, keyId });
  }
  const { SAGE_PRIVATE_KEY, SAGE_PRIVATE_KEY_FILE } = frame.env.signer;
  if ((SAGE_PRIVATE_KEY ?? '') === '' && (SAGE_PRIVATE_KEY_FILE ?? '') === '')
    throw new CliError('key_missing');
  const { signerFromEnv } = await import('../sdk/environment.ts');
  return signerFromEnv(
    { ...frame.env.signer, ...(keyId === undefined ? {} : { SAGE_KEY_ID: keyId }) },
    { readFile: readSecret },
  );
}
