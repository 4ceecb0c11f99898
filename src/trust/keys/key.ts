/** Names of the HTTP Signature Algorithms registry (RFC 9421, section 6.2.2), and two of ours that it lacks. */
export type SignatureAlgorithm =
  | 'ed25519'
  | 'ecdsa-p256-sha256'
  | 'ecdsa-p384-sha384'
  | 'rsa-pss-sha512'
  | 'rsa-v1_5-sha256'
  | 'hmac-sha256'
  | 'ecdsa-secp256k1-sha256'
  | 'ecdsa-secp256k1-keccak256';

/**
 * A key that has been checked once (type, curve, size, weak values) and can verify from then on.
 * The algorithm is the key's; a message can agree with it, never choose it (RFC 9421, section 3.2, step 6).
 */
export interface VerificationKey {
  readonly algorithm: SignatureAlgorithm;
  /** RFC 7638 SHA-256 thumbprint, base64url: the key's name wherever keys are compared or counted. */
  readonly thumbprint: string;
  /**
   * True when `signature` is this key's over `data`; at once where that is quick. Never fails on a malformed signature.
   * @throws {VerificationBusy}
   */
  verify(data: Uint8Array, signature: Uint8Array): boolean | Promise<boolean>;
  /** The same key as Ethereum uses it, over Keccak-256; on secp256k1 alone. */
  readonly keccak?: VerificationKey;
}

export interface SigningKey {
  readonly algorithm: SignatureAlgorithm;
  sign(data: Uint8Array): Uint8Array;
}
