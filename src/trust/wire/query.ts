/** `@query-param` (RFC 9421, section 2.2.8): form-decoded, then percent-encoded in one way only. */
import { WireError } from './errors.ts';

/** Each one is decoded to be compared; nobody signs one parameter of a query longer than this. */
const QUERY_PARAMETERS_MAX = 256;

/**
 * The re-encoded value of the parameter whose re-encoded name is `name`, or null when there is none.
 *
 * Stricter than the WHATWG parser in what it decodes: an escape that is not one and bytes that are not UTF-8
 * are refused, since that parser maps many of them onto the same characters, and one signature would then fit
 * several URLs.
 * @param query without its `?`
 * @throws {WireError} query_invalid, query_parameter_repeated
 */
export function queryParameter(query: string, name: string): string | null {
  if (/[^!-~]/.test(query)) throw new WireError('query_invalid');
  const pairs = query.split('&', QUERY_PARAMETERS_MAX + 1);
  if (pairs.length > QUERY_PARAMETERS_MAX) throw new WireError('query_invalid', 'too many parameters');
  let found: string | null = null;
  for (const pair of pairs) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    if (recode(equals < 0 ? pair : pair.slice(0, equals)) !== name) continue;
    if (found !== null) throw new WireError('query_parameter_repeated', name);
    found = equals < 0 ? '' : recode(pair.slice(equals + 1));
  }
  return found;
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
