/** Why a key is not accepted. All of them are found when a key is imported, not when it verifies. */

const CATALOGUE = {
  key_malformed: 'the key cannot be read',
  key_type_unsupported: 'keys of this type are not supported',
  key_curve_unsupported: 'keys on this curve are not supported',
  key_secp256k1_unsupported: 'secp256k1 keys are not supported on this platform',
  key_too_weak: 'the key is too short, or its parameters make it worthless',
  key_too_large: 'the key is so large that verifying with it would cost too much',
  key_low_order: 'the key is a point of small order: signatures of others verify with it',
  key_not_public: 'a private key was given where a public one belongs',
  key_not_for_signatures: 'the key says that it is not meant for signatures',
  key_algorithm_mismatch: 'the key cannot be used with the algorithm asked for',
  key_algorithm_disabled: 'rsa-v1_5-sha256 is off unless it is asked for',
  key_published: 'the private half of this key is printed in an RFC',
} as const;

export type KeyErrorCode = keyof typeof CATALOGUE;

/** The catalogue as data, for those who show or document it. */
export const KEY_ERRORS: Readonly<Record<KeyErrorCode, string>> = CATALOGUE;

/** A slow signature that cannot be checked now, because too many are being checked. Carries no stack either. */
export class VerificationBusy extends Error {
  constructor() {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super('too many slow signatures are being verified at once');
    Error.stackTraceLimit = limit;
    this.name = 'VerificationBusy';
  }
}

/** Carries no stack: with did:key and did:jwk a stranger brings the key, as often as he likes. */
export class KeyError extends Error {
  readonly code: KeyErrorCode;

  constructor(code: KeyErrorCode, cause?: unknown) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(CATALOGUE[code], cause === undefined ? undefined : { cause });
    Error.stackTraceLimit = limit;
    this.name = 'KeyError';
    this.code = code;
  }
}
