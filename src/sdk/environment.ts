/** Configuration from environment variables, handed in: the SDK itself looks at nothing. */
import { algorithmNamed } from './algorithms.ts';
import { SdkError } from './errors.ts';
import { readOrigins } from './incoming.ts';
import { createSigner, type Signer } from './signer.ts';
import type { VerifierOptions } from './verify.ts';

/** The environment of the process, `Deno.env.toObject()`, the bindings of a worker. */
export type Environment = Readonly<Record<string, unknown>>;

export interface EnvironmentOptions {
  /** Reads a text file. Node, Deno and Bun need none given. */
  readonly readFile?: (path: string) => string | Promise<string>;
}

/**
 * The signer that these variables describe: `SAGE_PRIVATE_KEY_FILE` or `SAGE_PRIVATE_KEY` (a private JWK, or a PKCS #8
 * PEM), `SAGE_KEY_ID` (left out: the key's did:key) and `SAGE_KEY_ALGORITHM` (left out: the key's).
 * @throws {SdkError} env_missing, env_conflict, env_invalid, file_unreadable, and as `createSigner` does
 */
export async function signerFromEnv(env: Environment, options: EnvironmentOptions = {}): Promise<Signer> {
  const text = variable(env, 'SAGE_PRIVATE_KEY');
  const file = variable(env, 'SAGE_PRIVATE_KEY_FILE');
  if (text !== undefined && file !== undefined)
    throw new SdkError('env_conflict', 'SAGE_PRIVATE_KEY and SAGE_PRIVATE_KEY_FILE');
  // A variable cannot hold line ends everywhere; `\n` is how they are commonly written.
  const privateKey =
    file === undefined ? text?.replaceAll('\\n', '\n') : await readText(file, options.readFile ?? readFile);
  if (privateKey === undefined)
    throw new SdkError('env_missing', 'SAGE_PRIVATE_KEY_FILE or SAGE_PRIVATE_KEY');
  const algorithm = variable(env, 'SAGE_KEY_ALGORITHM');
  return createSigner({
    privateKey,
    keyId: variable(env, 'SAGE_KEY_ID'),
    algorithm: algorithm === undefined ? undefined : algorithmNamed(algorithm),
  });
}

/** What of a verifier's options can stand in variables; keys and nonces cannot. */
export type VerifierEnvironment = Pick<VerifierOptions, 'origins'> &
  Pick<VerifierOptions, 'maxAgeSeconds' | 'clockSkewSeconds' | 'maxBodyBytes'>;

/**
 * The options that these variables set: `SAGE_ORIGINS` (a comma list; needed), `SAGE_SIGNATURE_MAX_AGE_SECONDS`,
 * `SAGE_CLOCK_SKEW_SECONDS` and `SAGE_MAX_BODY_BYTES`. To be spread beside `keys` or `resolveKey`.
 * @throws {SdkError} env_missing, env_invalid, which names every variable that is wrong
 */
export function verifierOptionsFromEnv(env: Environment): VerifierEnvironment {
  const wrong: string[] = [];
  const whole = (name: string): number | undefined => {
    const text = variable(env, name);
    if (text === undefined) return undefined;
    if (!/^\d{1,12}$/.test(text)) wrong.push(name);
    return Number(text);
  };
  const maxAgeSeconds = whole('SAGE_SIGNATURE_MAX_AGE_SECONDS');
  const clockSkewSeconds = whole('SAGE_CLOCK_SKEW_SECONDS');
  const maxBodyBytes = whole('SAGE_MAX_BODY_BYTES');
  if (wrong.length > 0) throw new SdkError('env_invalid', wrong.join(', '));
  const origins = variable(env, 'SAGE_ORIGINS')
    ?.split(',')
    .map((one) => one.trim());
  if (origins === undefined) throw new SdkError('env_missing', 'SAGE_ORIGINS');
  try {
    readOrigins(origins);
  } catch (error) {
    throw new SdkError('env_invalid', 'SAGE_ORIGINS', error);
  }
  return {
    origins,
    ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
    ...(clockSkewSeconds === undefined ? {} : { clockSkewSeconds }),
    ...(maxBodyBytes === undefined ? {} : { maxBodyBytes }),
  };
}

/** An empty variable is one that is not set. */
function variable(env: Environment, name: string): string | undefined {
  const value = env[name];
  if (value === undefined || value === '') return undefined;
  if (typeof value !== 'string') throw new SdkError('env_invalid', name);
  return value.trim();
}

async function readText(path: string, read: NonNullable<EnvironmentOptions['readFile']>): Promise<string> {
  try {
    return await read(path);
  } catch (error) {
    throw error instanceof SdkError ? error : new SdkError('file_unreadable', path, error);
  }
}

interface FileSystem {
  readFileSync(path: string, encoding: 'utf8'): string;
}

/** Node, Deno and Bun hand out their file system without an import, which a browser's bundler could not follow. */
function readFile(path: string): string {
  const { process }: { process?: { getBuiltinModule?: (name: string) => unknown } } = globalThis;
  const fs = process?.getBuiltinModule?.('node:fs');
  if (!isFileSystem(fs)) throw new SdkError('file_unreadable', 'no file system here; give readFile');
  return fs.readFileSync(path, 'utf8');
}

function isFileSystem(value: unknown): value is FileSystem {
  return typeof value === 'object' && value !== null && 'readFileSync' in value;
}
