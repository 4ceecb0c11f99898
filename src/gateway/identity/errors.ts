import { DID_ERRORS, type DidError, type DidErrorCode } from '../../trust/did/errors.ts';
import { WIRE_ERRORS, type WireError, type WireErrorCode } from '../../trust/wire/errors.ts';
import { defineRefusals, type RefusalContext, type RefusalKind, Refused } from '../refusal.ts';

/**
 * Refusals of identity: 400 is malformed, 401 not proven, 413 and 408 the body's bounds, 421 the wrong origin,
 * 503 what this node cannot check now. The codes of `trust/wire` and `trust/did` are passed on under their own
 * names with a generic detail: what exactly failed is told only with EXPLAIN_REFUSALS, and stands in the log.
 */
const UNPROVEN = 'The signature of this request could not be accepted.';

export const IDENTITY_REFUSALS = defineRefusals({
  signature_required: [
    401,
    'A signature is required',
    'Sign the request by RFC 9421 with a key of your DID.',
    false,
  ],
  signature_invalid: [401, 'The signature does not verify', UNPROVEN, false],
  signature_predates_start: [
    401,
    'The signature is older than this gateway',
    'This gateway restarted and cannot know whether the signature was used; sign the request anew.',
    true,
  ],
  nonce_replayed: [401, 'The request was already used', 'Sign the request anew with a fresh nonce.', true],
  nonce_store_full: [503, 'Too many requests to remember', 'Try again shortly, with a new signature.', true],
  nonce_store_unavailable: [
    503,
    'Replays cannot be ruled out now',
    'Try again shortly, with a new signature.',
    true,
  ],
  body_too_large: [
    413,
    'The body is too large',
    'Send a smaller body, or ask the operator to stream this route.',
    false,
  ],
  body_timeout: [408, 'The body arrived too slowly', 'Send the request again, with a new signature.', true],
  body_aborted: [400, 'The body ended early', 'Send the request again, with a new signature.', true],
  body_memory_exhausted: [
    503,
    'Too many bodies are held at once',
    'Try again shortly, with a new signature.',
    true,
  ],
  verification_busy: [
    503,
    'Too many signatures are being verified',
    'Try again shortly, with a new signature. Ed25519 keys do not wait.',
    true,
  ],
  authority_unknown: [
    421,
    'This gateway does not serve that origin',
    'Use an origin the operator publishes.',
    false,
  ],
});

/** A new signature made at a better moment may be accepted. */
const RETRYABLE_WIRE: ReadonlySet<WireErrorCode> = new Set([
  'created_in_future',
  'signature_too_old',
  'signature_expired',
]);

function kindsOfWire(): Readonly<Record<WireErrorCode, RefusalKind>> {
  const kinds = {} as Record<WireErrorCode, RefusalKind>;
  for (const code of Object.keys(WIRE_ERRORS) as WireErrorCode[]) {
    const [errorClass, text] = WIRE_ERRORS[code];
    const title = text[0]!.toUpperCase() + text.slice(1);
    const status = errorClass === 'malformed' ? 400 : 401;
    kinds[code] = Object.freeze({
      status,
      code,
      title,
      detail: UNPROVEN,
      retryable: RETRYABLE_WIRE.has(code),
    });
  }
  return Object.freeze(kinds);
}

export const WIRE_REFUSALS = kindsOfWire();
export const DID_REFUSALS: Readonly<Record<DidErrorCode, RefusalKind>> = defineRefusals(DID_ERRORS);

export function refusedByWire(error: WireError, context: RefusalContext = {}): Refused {
  const evidence = {
    ...context.evidence,
    ...(error.component === undefined ? {} : { component: error.component }),
  };
  return new Refused(WIRE_REFUSALS[error.code], { explanation: error.message, ...context, evidence });
}

export function refusedByDid(error: DidError): Refused {
  return new Refused(DID_REFUSALS[error.code], { explanation: error.message, cause: error.cause });
}
