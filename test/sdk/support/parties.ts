/** Signers of every algorithm, and a verifier that knows them. */
import type { Algorithm } from '../../../src/sdk/algorithms.ts';
import { didKeyResolver } from '../../../src/sdk/did.ts';
import { RequestRefused, SdkError } from '../../../src/sdk/errors.ts';
import { createNonceMemory } from '../../../src/sdk/nonces.ts';
import type { PublicKeyInput } from '../../../src/sdk/public-key.ts';
import { createSigner, generateKeyPair, type Signer } from '../../../src/sdk/signer.ts';
import type { VerifierOptions } from '../../../src/sdk/verify.ts';

export const ORIGIN = 'https://api.example';
/** Milliseconds since the epoch, in the middle of a second. */
export const NOW = 1_800_000_000_500;
export const PAIRED = ['ed25519', 'ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'rsa-pss-sha512'] as const;
export const ALL: readonly Algorithm[] = [...PAIRED, 'hmac-sha256'];
const SECRET_KEY_ID = 'partner-1';

export interface Party {
  readonly signer: Signer;
  readonly publicKey: PublicKeyInput;
}

export async function newParty(algorithm: Algorithm = 'ed25519'): Promise<Party> {
  if (algorithm === 'hmac-sha256') {
    const secret = crypto.getRandomValues(new Uint8Array(32));
    const jwk = { kty: 'oct', k: Buffer.from(secret).toString('base64url') };
    return { signer: await createSigner({ privateKey: jwk, keyId: SECRET_KEY_ID }), publicKey: jwk };
  }
  const { privateJwk, publicJwk } = await generateKeyPair(algorithm);
  return { signer: await createSigner({ privateKey: privateJwk }), publicKey: publicJwk };
}

/** What a server sets that was never started before, by the clock of the tests. */
export function serverOptions(change: Partial<VerifierOptions> = {}): VerifierOptions {
  return {
    origins: ORIGIN,
    resolveKey: didKeyResolver(),
    nonces: createNonceMemory({ noEarlierProcess: true }),
    now: () => NOW,
    ...change,
  };
}

/** The code a promise fails with. */
export async function codeOf(run: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof run === 'function' ? run() : run);
  } catch (error) {
    if (error instanceof RequestRefused || error instanceof SdkError) return error.code;
    throw error;
  }
  return 'none';
}
