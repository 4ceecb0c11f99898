import { defineRefusals } from '../refusal.ts';

export const ROUTING_REFUSALS = defineRefusals({
  agent_unknown: [
    404,
    'Unknown agent',
    'No agent is served at this path; check the id after /agents/.',
    false,
  ],
  path_ambiguous: [
    400,
    'Ambiguous path',
    'The request target can be read in more than one way. Send it without dot segments, empty segments, backslashes, ' +
      'fragments, encoded slashes or control characters, and with valid UTF-8 percent-encoding.',
    false,
  ],
  target_too_long: [
    414,
    'Request target too long',
    'Shorten the path or query, or move the data into the body.',
    false,
  ],
});
