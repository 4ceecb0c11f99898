/** What `sage-gateway/sdk` exports; see `docs/sdk.md`. The entry of a package, and the one file that only passes on. */
export type { Algorithm } from './algorithms.ts';
export { didKeyOf, didKeyResolver, type KeyDid, type KeyResolver } from './did.ts';
export {
  type Environment,
  type EnvironmentOptions,
  signerFromEnv,
  type VerifierEnvironment,
  verifierOptionsFromEnv,
} from './environment.ts';
export {
  type Problem,
  REFUSALS,
  type RefusalCode,
  RequestRefused,
  SDK_ERRORS,
  SdkError,
  type SdkErrorCode,
} from './errors.ts';
export type { HeadersInput } from './headers.ts';
export type { ReceivedRequest } from './incoming.ts';
export type { Jwk } from './jwk.ts';
export {
  createNonceMemory,
  type NonceMemoryOptions,
  type NonceOutcome,
  type NonceStore,
  type NonceToReserve,
} from './nonces.ts';
export type { PrivateKeyInput } from './private-key.ts';
export { importPublicKey, type PublicKeyInput, type VerifyingKey } from './public-key.ts';
export { type Refusal, readRefusal } from './refusal.ts';
export { type RequestToSign, type SignedRequest, type SignOptions, signRequest } from './sign.ts';
export { type Fetch, type SignedFetchOptions, signedFetch } from './signed-fetch.ts';
export {
  createSigner,
  type GeneratedKeyPair,
  generateKeyPair,
  type Signer,
  type SignerOptions,
} from './signer.ts';
export {
  createVerifier,
  type Verified,
  type VerifiedCaller,
  type Verifier,
  type VerifierOptions,
  verifyRequest,
} from './verify.ts';
