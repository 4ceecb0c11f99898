import { defineRefusals } from './refusal.ts';

/** Refusals of the path itself, between its folders. */
export const PATH_REFUSALS = defineRefusals({
  policy_denied: [403, 'The policy does not allow this', 'The caller is known, and may not do this.', false],
  caller_revoked: [
    401,
    'The key was revoked',
    'Sign the request anew with a key that is still in the DID document.',
    false,
  ],
  internal_error: [500, 'Something went wrong here', 'Try again; tell the operator the request id.', true],
});
