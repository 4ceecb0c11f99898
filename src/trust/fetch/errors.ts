/**
 * Why a document was not fetched. None of these means "there is no such document": that is an answer (`absent`),
 * while every error here means "not known now", and must not be cached as absence.
 */
const FETCH_FAULTS = {
  fetch_url_refused: 'the URL is not one that is fetched: https, a host name, no user, no query',
  fetch_name_unresolved: 'the name of the host does not resolve',
  fetch_address_refused: 'the name of the host leads to an address that is not public',
  fetch_unreachable: 'the host cannot be reached',
  fetch_untrusted: 'the host could not prove its name by TLS',
  fetch_timeout: 'the host did not answer whole within the time allowed',
  fetch_redirected: 'the host sends elsewhere, and redirects are not followed',
  fetch_status: 'the host answered with an error status',
  fetch_bad_answer: 'the answer is broken off, or not HTTP',
  fetch_media_type: 'the answer is not of a media type that was asked for',
  fetch_encoded: 'the answer is compressed, though that was not asked for',
  fetch_too_large: 'the answer is larger than its bound',
  fetch_not_json:
    'the answer is not JSON as it is accepted: without doubles, not nested deeply, an object where one was asked for',
  fetch_circuit_open: 'the host failed several times in a row, and is left alone for a while',
  fetch_busy: 'too many documents are being fetched',
  fetch_closed: 'the gateway is stopping',
} as const;

export type FetchFault = keyof typeof FETCH_FAULTS;

/** Every code in words. */
export const FETCH_ERRORS: Readonly<Record<FetchFault, string>> = FETCH_FAULTS;

/** Carries no stack: a stranger names the host, as often as he likes. */
export class FetchError extends Error {
  readonly code: FetchFault;

  /** `detail` is for the log and the operator: it may tell what an inner network looks like. */
  constructor(code: FetchFault, detail: string, cause?: unknown) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(`${FETCH_FAULTS[code]}: ${detail}`, cause === undefined ? undefined : { cause });
    Error.stackTraceLimit = limit;
    this.name = 'FetchError';
    this.code = code;
  }
}
