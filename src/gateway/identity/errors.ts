import { defineRefusals } from '../refusal.ts';

/**
 * Refusals of identity. 400 is malformed, 401 not proven, 413/408 the body's bounds, 421 the wrong origin,
 * 503 what this node cannot check now. Details are generic on purpose: what exactly failed is told only with
 * EXPLAIN_REFUSALS, and otherwise stands in the log.
 */
const UNPROVEN = 'The signature of this request could not be accepted.';

export const IDENTITY_REFUSALS = defineRefusals({
  signature_required: [
    401,
    'A signature is required',
    'Sign the request by RFC 9421 with a key of your DID document.',
    false,
  ],
  signature_malformed: [400, 'The signature fields are malformed', UNPROVEN, false],
  signature_coverage: [401, 'The signature covers too little', UNPROVEN, false],
  signature_expired: [401, 'The signature has expired', UNPROVEN, true],
  signature_in_future: [401, 'The signature was made in the future', UNPROVEN, true],
  signature_predates_start: [
    401,
    'The signature is older than this gateway',
    'This gateway restarted and cannot know whether the signature was used; sign the request anew.',
    true,
  ],
  signature_invalid: [401, 'The signature does not verify', UNPROVEN, false],
  algorithm_unsupported: [401, 'The signature algorithm is not accepted', UNPROVEN, false],
  key_id_malformed: [400, 'The key id is not an absolute DID URL', UNPROVEN, false],
  did_method_unsupported: [401, 'The DID method is not accepted here', UNPROVEN, false],
  did_unknown: [401, 'The DID is not known', UNPROVEN, false],
  did_unresolvable: [503, 'The DID cannot be resolved now', 'Try again shortly, with a new signature.', true],
  did_stale: [503, 'What is known of the DID is too old', 'Try again shortly, with a new signature.', true],
  key_unknown: [401, 'The key is not in the DID document', UNPROVEN, false],
  key_expired: [401, 'The key has expired', UNPROVEN, false],
  key_revoked: [401, 'The key was revoked', UNPROVEN, false],
  nonce_replayed: [401, 'The request was already used', 'Sign the request anew with a fresh nonce.', true],
  nonce_store_full: [503, 'Too many requests to remember', 'Try again shortly, with a new signature.', true],
  nonce_store_unavailable: [
    503,
    'Replays cannot be ruled out now',
    'Try again shortly, with a new signature.',
    true,
  ],
  digest_malformed: [400, 'The Content-Digest field is malformed', UNPROVEN, false],
  digest_mismatch: [401, 'The body is not the one that was signed', UNPROVEN, false],
  body_too_large: [
    413,
    'The body is larger than this route accepts',
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
  message_ambiguous: [400, 'The request can be read in two ways', 'Send each singleton field once.', false],
  authority_unknown: [
    421,
    'This gateway does not serve that origin',
    'Use one of the origins the operator publishes.',
    false,
  ],
});

export type IdentityCode = keyof typeof IDENTITY_REFUSALS;
