import { defineRefusals } from '../refusal.ts';

/** What the listener itself refuses: messages that two parsers could read in two ways, or that exceed a bound. */
export const listenerRefusals = defineRefusals({
  request_malformed: [
    400,
    'Malformed request',
    'The request is not a valid HTTP message. Send it again as RFC 9112 or RFC 9113 describes.',
    false,
  ],
  request_timeout: [
    408,
    'Request timeout',
    'The request head did not arrive in time. Send it again, without pauses.',
    true,
  ],
  header_fields_too_large: [
    431,
    'Header fields too large',
    'There are too many header fields, or they are too long in all. Send fewer or shorter ones.',
    false,
  ],
  chunk_extensions_too_large: [
    413,
    'Chunk extensions too large',
    'The chunk extensions of the body are too long. Leave them out.',
    false,
  ],
  http_version_unsupported: [
    505,
    'HTTP version not supported',
    'This connection speaks HTTP/1.0, HTTP/1.1 or HTTP/2; the request line names another version.',
    false,
  ],
  method_malformed: [
    400,
    'Malformed method',
    'Methods are case-sensitive and written in upper case, at most 32 characters.',
    false,
  ],
  method_not_allowed: [
    405,
    'Method not allowed',
    'The gateway opens no tunnels and echoes no requests: CONNECT and TRACE are not served.',
    false,
  ],
  target_malformed: [
    400,
    'Malformed request target',
    'The target must be a path with an optional query in visible ASCII, without a fragment, a backslash or a dot segment.',
    false,
  ],
  authority_missing: [
    400,
    'Missing Host',
    'Name the host that is called: the Host field, or :authority over HTTP/2.',
    false,
  ],
  authority_malformed: [
    400,
    'Malformed Host',
    'Host must be one host name or address with an optional port, without user information.',
    false,
  ],
  authority_mismatch: [
    400,
    'Contradictory Host',
    'Host, :authority and an absolute target must name the same host.',
    false,
  ],
  field_repeated: [
    400,
    'Repeated header field',
    'A header field that may stand once only was sent more than once.',
    false,
  ],
  framing_ambiguous: [
    400,
    'Ambiguous body length',
    'Send either Content-Length or "Transfer-Encoding: chunked", once, and neither with an Upgrade.',
    false,
  ],
  expectation_failed: [
    417,
    'Expectation failed',
    'The only expectation that is served is "100-continue".',
    false,
  ],
  request_invalid: [400, 'Invalid request', 'The request does not have the form this route asks for.', false],
  body_too_large: [413, 'Body too large', 'The body is longer than this route accepts.', false],
  media_type_unsupported: [
    415,
    'Unsupported media type',
    'This route does not read bodies of that Content-Type.',
    false,
  ],
  not_found: [404, 'Not found', 'There is nothing at this path.', false],
  internal_error: [
    500,
    'Internal error',
    'The gateway failed to handle this request. Quote the request id when you report it.',
    true,
  ],
});
