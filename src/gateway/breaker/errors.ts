import { defineRefusals } from '../refusal.ts';

export const BREAKER_REFUSALS = defineRefusals({
  circuit_open: [
    503,
    'Agent unavailable',
    'The agent has been failing and is given time to recover. Try again after Retry-After, with a new signature.',
    true,
  ],
});
