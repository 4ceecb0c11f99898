import { defineRefusals } from '../refusal.ts';

/** Why a WebSocket was not opened; once it is open, RFC 6455 close codes say the rest. */
export const websocketRefusals = defineRefusals({
  websocket_handshake_malformed: [
    400,
    'Malformed WebSocket handshake',
    'Send a Sec-WebSocket-Key of 16 bytes in base64, and subprotocols as distinct tokens (RFC 6455 4.2.1).',
    false,
  ],
  websocket_version_unsupported: [
    426,
    'WebSocket version not supported',
    'Only version 13 of the protocol is spoken (RFC 6455).',
    false,
  ],
  websocket_upstream_unreachable: [
    502,
    'Agent unreachable',
    'The agent could not be reached, or went away before it answered.',
    true,
  ],
  websocket_upstream_protocol_error: [
    502,
    'Malformed answer',
    'The agent answered the WebSocket handshake in a way that cannot be passed on.',
    false,
  ],
  websocket_upstream_timeout: [
    504,
    'Agent timed out',
    'The agent did not answer the WebSocket handshake in time.',
    true,
  ],
  websocket_upstream_unavailable: [
    503,
    'Agent unavailable',
    'The agent does not take WebSockets at the moment; try again shortly.',
    true,
  ],
  /** Sent with the status the agent answered: 400, 401, 403, 404, 405, 409, 410, 426 or 429. */
  websocket_refused: [
    403,
    'Agent refused the WebSocket',
    'The agent itself answered the WebSocket handshake with this status.',
    false,
  ],
  websocket_cancelled: [
    499,
    'Caller went away',
    'The caller went away before the agent had answered the WebSocket handshake.',
    true,
  ],
});
