/** What admission refuses with. The texts are public and name no other caller. */
import { defineRefusals } from '../refusal.ts';

export const admissionRefusals = defineRefusals({
  address_blocked: [
    429,
    'Address blocked for a while',
    'Too many requests from this address failed verification. Correct how requests are signed, and try again after Retry-After seconds.',
    true,
  ],
  address_rate_limited: [
    429,
    'Too many requests from this address',
    'Slow down to the quota in RateLimit-Policy, and try again after Retry-After seconds.',
    true,
  ],
  new_callers_limited: [
    429,
    'Too many new callers from this address',
    'Callers whose keys are not known here are looked up at a bounded rate. Try again after Retry-After seconds.',
    true,
  ],
  caller_rate_limited: [
    429,
    'Too many requests by this caller',
    'Slow down to the quota in RateLimit-Policy, and try again after Retry-After seconds.',
    true,
  ],
  limits_unavailable: [
    503,
    'Limits cannot be counted now',
    'The gateway has no room to count one more caller. Try again after Retry-After seconds.',
    true,
  ],
});

export type AdmissionCode = keyof typeof admissionRefusals;
