/**
 * The catalogue of what can go wrong while a key is looked up. `identity` turns each into a refusal; the room
 * `trust` may not import the gateway's `Refused`, so the public facts (status, retryable) are told here.
 *
 * 400: the words cannot be understood. 401: understood, and not proven. 503: we cannot tell now, and saying "no"
 * would be a lie that a cache could keep.
 */

type Row = readonly [status: 400 | 401 | 503, title: string, detail: string, retryable: boolean];

const TABLE = {
  did_malformed: [
    400,
    'Key identifier malformed',
    'keyid must be an absolute DID URL in its canonical form, without path or query.',
    false,
  ],
  did_method_unsupported: [
    401,
    'DID method not supported',
    'Use did:key, did:jwk, did:web, did:webvh, or did:sage on a chain and registry this gateway is configured for.',
    false,
  ],
  did_unknown: [
    401,
    'DID unknown',
    'No such identity is registered, or its host has no document of it.',
    false,
  ],
  key_unknown: [
    401,
    'Key unknown',
    'The DID document holds no such key for authentication. It may have been revoked, or not be final on chain yet.',
    false,
  ],
  key_ambiguous: [
    401,
    'Key ambiguous',
    'The DID has more than one key for authentication: name one by its fragment in keyid.',
    false,
  ],
  key_expired: [401, 'Key expired', 'The key is past the end of its validity. Publish a new one.', false],
  key_unsupported: [
    401,
    'Key not usable',
    'The type, curve, encoding or value of the key is not accepted. Use Ed25519, P-256, P-384 or secp256k1.',
    false,
  ],
  key_withdrawn: [
    401,
    'Key withdrawn',
    'The keys of this DID changed while the request was being checked. Sign and send it again.',
    true,
  ],
  did_denied: [
    401,
    'Identity revoked here',
    'The operator of this gateway has revoked this DID. Ask the operator.',
    false,
  ],
  key_denied: [
    401,
    'Key revoked here',
    'The operator of this gateway has revoked this key. Use another key of the DID, or ask the operator.',
    false,
  ],
  did_unresolvable: [503, 'DID not resolvable now', 'The identity could not be looked up. Try again.', true],
  did_stale: [
    503,
    'Revocations not known',
    'The gateway has lost sight of the chain and cannot tell whether the key was revoked. Try again.',
    true,
  ],
} as const satisfies Record<string, Row>;

export type DidErrorCode = keyof typeof TABLE;

/** Every code with what the public may read of it. */
export const DID_ERRORS: Readonly<Record<DidErrorCode, Row>> = TABLE;

/** Thrown on the path; carries no stack, because a stranger can cause it as often as he likes. */
export class DidError extends Error {
  readonly code: DidErrorCode;
  /** HTTP status class of the refusal. */
  readonly status: 400 | 401 | 503;
  /** Whether the same call, signed anew, may succeed later. */
  readonly retryable: boolean;

  /** `explanation` is for the log and for EXPLAIN_REFUSALS; it never holds more than the caller sent or owns. */
  constructor(code: DidErrorCode, explanation: string, cause?: unknown) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(explanation, cause === undefined ? undefined : { cause });
    Error.stackTraceLimit = limit;
    this.name = 'DidError';
    this.code = code;
    this.status = TABLE[code][0];
    this.retryable = TABLE[code][3];
  }
}
