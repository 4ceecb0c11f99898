import { defineRefusals } from '../refusal.ts';

export const PROXY_REFUSALS = defineRefusals({
  upstream_unreachable: [
    502,
    'Agent unreachable',
    'The agent could not be reached, or went away before it answered.',
    true,
  ],
  upstream_protocol_error: [
    502,
    'Malformed answer',
    'The agent answered in a way that cannot be passed on.',
    false,
  ],
  upstream_timeout: [504, 'Agent timed out', 'The agent did not answer in time.', true],
  upstream_busy: [
    503,
    'Agent busy',
    'Too many requests to this agent are under way; try again shortly.',
    true,
  ],
  method_not_proxied: [405, 'Method not proxied', 'CONNECT and TRACE are not forwarded to agents.', false],
  request_not_forwardable: [
    400,
    'Request not forwardable',
    'A field of the request cannot be sent on as it is.',
    false,
  ],
  request_body_incomplete: [400, 'Request body incomplete', 'The body ended before it was complete.', true],
  request_body_timeout: [408, 'Request body timed out', 'No more of the body arrived in time.', true],
  exchange_revoked: [
    401,
    'Key no longer valid',
    'The key of this request was revoked or has expired meanwhile.',
    false,
  ],
});
