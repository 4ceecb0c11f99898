/**
 * Requests that two readers could understand in two ways are refused before any signature is looked at: the
 * signature would be verified on one reading, and the agent would act on the other.
 */
import { WireError } from './errors.ts';
import type { RequestView } from './message.ts';
import { absoluteAuthorityStart, normalAuthority } from './message.ts';

/**
 * Fields of RFC 9110 (and Origin, RFC 6454) that are one value, so that a second line is a contradiction. Node's
 * merged headers show the first of them, an agent may take the last.
 */
const SINGLETONS: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'date',
  'from',
  'if-modified-since',
  'if-range',
  'if-unmodified-since',
  'max-forwards',
  'origin',
  'proxy-authorization',
  'range',
  'referer',
  'user-agent',
]);

/**
 * @throws {WireError} method_invalid, target_invalid, host_missing, host_repeated, host_mismatch, field_repeated
 */
export function checkMessageShape(view: RequestView): void {
  // Methods are case-sensitive (RFC 9110, section 9.1) and all are upper case; HTTP/2 in Node lets `get` through.
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Z]+$/.test(view.method)) throw new WireError('method_invalid', view.method);
  // A fragment is never sent (RFC 9110, section 7.1), but Node leaves one in `req.url`.
  if (view.target === '' || /[^!-~]|#/.test(view.target)) throw new WireError('target_invalid');
  checkFields(view);
}

function checkFields(view: RequestView): void {
  const { names, raw } = view.fields;
  let host: string | undefined;
  let authority: string | undefined;
  for (let at = 0; at < names.length; at += 1) {
    const name = names[at] as string;
    if (name === 'host') {
      if (host !== undefined) throw new WireError('host_repeated');
      host = raw[2 * at + 1] ?? '';
    } else if (name === ':authority') {
      if (authority !== undefined) throw new WireError('host_repeated');
      authority = raw[2 * at + 1] ?? '';
    } else if (SINGLETONS.has(name) && names.indexOf(name, at + 1) >= 0) {
      throw new WireError('field_repeated', name);
    }
  }
  checkHosts(view, host, authority);
}

function checkHosts(view: RequestView, host: string | undefined, authority: string | undefined): void {
  const named = authority ?? host;
  if (named === undefined || named === '') throw new WireError('host_missing');
  const normal = normalAuthority(named, view.scheme);
  // RFC 9113, section 8.3.1: a Host beside `:authority` must say the same.
  if (host !== undefined && host !== named && normalAuthority(host, view.scheme) !== normal) {
    throw new WireError('host_mismatch', host);
  }
  const authorityAt = absoluteAuthorityStart(view.target);
  if (authorityAt < 0) return;
  // RFC 9112, section 3.2.2 lets the absolute form win over Host; a proxy behind us may not know.
  const target = view.target.slice(authorityAt, view.pathAt);
  if (normalAuthority(target, view.scheme) !== normal) throw new WireError('host_mismatch', target);
  if (view.target.slice(0, authorityAt - 3).toLowerCase() !== view.scheme)
    throw new WireError('target_invalid');
}
