/** What went wrong with an attempt, read from undici's and Node's error codes. */
import { constants } from 'node:http2';
import { type RefusalKind, Refused } from '../refusal.ts';
import { PROXY_REFUSALS } from './errors.ts';

export interface Failure {
  readonly refusal: Refused;
  /** Counts against the instance's circuit. */
  readonly upstreamFault: boolean;
  /** The upstream certainly did not process the request: any method may be tried again. */
  readonly unprocessed: boolean;
  /** The connection broke: what is idempotent may be tried again. A timeout or a malformed answer would only repeat. */
  readonly transient: boolean;
}

/** An answer that Node will not pass on, such as one with a field it calls invalid. */
export class MalformedAnswer extends Error {
  readonly code = 'SAGE_MALFORMED_ANSWER';
}

interface CodedError {
  readonly code?: string;
  readonly http2ErrorCode?: unknown;
  readonly message: string;
}

function failure(kind: RefusalKind, error: CodedError, traits: Partial<Failure> = {}): Failure {
  const refusal = new Refused(kind, {
    explanation: `${error.code ?? 'error'}: ${error.message}`,
    cause: error,
  });
  return { refusal, upstreamFault: true, unprocessed: false, transient: false, ...traits };
}

/** @param sent whether the request had been put on a connection */
export function readFailure(thrown: Error, sent: boolean): Failure {
  if (thrown instanceof Refused)
    return { refusal: thrown, upstreamFault: false, unprocessed: false, transient: false };
  const error: CodedError = thrown;
  const code = error.code ?? '';
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
      return failure(PROXY_REFUSALS.upstream_timeout, error, { unprocessed: !sent });
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return failure(PROXY_REFUSALS.upstream_timeout, error);
    case 'UND_ERR_HEADERS_OVERFLOW':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
    case 'SAGE_MALFORMED_ANSWER':
      return failure(PROXY_REFUSALS.upstream_protocol_error, error);
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
      return failure(PROXY_REFUSALS.request_body_incomplete, error, { upstreamFault: false });
    case 'UND_ERR_INVALID_ARG':
      return failure(PROXY_REFUSALS.request_not_forwardable, error, { upstreamFault: false });
    case 'UND_ERR_CLOSED':
    case 'UND_ERR_DESTROYED':
      // The pool was closed by a reload, between choosing the instance and using it.
      return failure(PROXY_REFUSALS.upstream_unreachable, error, {
        upstreamFault: false,
        unprocessed: !sent,
      });
  }
  // Its code is missing when the parser's own constants do not name it.
  if (thrown.name === 'HTTPParserError') return failure(PROXY_REFUSALS.upstream_protocol_error, error);
  // RFC 9113, section 8.7: a refused stream was not processed. undici has tried once more by itself by then.
  const refusedStream = error.http2ErrorCode === constants.NGHTTP2_REFUSED_STREAM;
  return failure(PROXY_REFUSALS.upstream_unreachable, error, {
    unprocessed: !sent || refusedStream,
    transient: true,
  });
}
