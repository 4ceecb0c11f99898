/** `@query-param` (RFC 9421, section 2.2.8): form-decoded, then percent-encoded in one way only. */
import { WireError } from './errors.ts';

/** Each one is decoded to be compared; nobody signs one parameter of a query longer than this. */
const QUERY_PARAMETERS_MAX = 256;

/** Recoding takes some 15 ns a character, so that of the longest takes as long as one verification. */
const QUERY_LENGTH_MAX = 4_096;

/** What stands in the place of a value that was given more than once. */
const REPEATED = Symbol('repeated');

/**
 * The parameters of one query. Their names are recoded once, however many components ask: thirty components over 250
 * parameters would else cost more than twenty verifications.
 *
 * Stricter than the WHATWG parser in what it decodes: an escape that is not one and bytes that are not UTF-8
 * are refused, since that parser maps many of them onto the same characters, and one signature would then fit
 * several URLs.
 */
export class QueryParameters {
  /** From the re-encoded name to the value as received. */
  readonly #values = new Map<string, string | typeof REPEATED>();

  /** @param query without its `?`. @throws {WireError} query_invalid */
  constructor(query: string) {
    if (query.length > QUERY_LENGTH_MAX) throw new WireError('query_invalid', 'too long');
    if (/[^!-~]/.test(query)) throw new WireError('query_invalid');
    const pairs = query.split('&', QUERY_PARAMETERS_MAX + 1);
    if (pairs.length > QUERY_PARAMETERS_MAX) throw new WireError('query_invalid', 'too many parameters');
    for (const pair of pairs) {
      if (pair === '') continue;
      const equals = pair.indexOf('=');
      const name = recode(equals < 0 ? pair : pair.slice(0, equals));
      const value = equals < 0 ? '' : pair.slice(equals + 1);
      this.#values.set(name, this.#values.has(name) ? REPEATED : value);
    }
  }

  /**
   * The re-encoded value of the parameter whose re-encoded name is `name`, or null when there is none.
   * @throws {WireError} query_invalid, query_parameter_repeated
   */
  value(name: string): string | null {
    const value = this.#values.get(name);
    if (value === undefined) return null;
    if (value === REPEATED) throw new WireError('query_parameter_repeated', name);
    return recode(value);
  }
}

function recode(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new WireError('query_invalid', text);
  }
  // encodeURIComponent leaves five characters that the form-urlencoded percent-encode set has.
  return encodeURIComponent(decoded).replace(
    /[!'()~]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
