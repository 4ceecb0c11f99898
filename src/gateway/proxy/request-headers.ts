/**
 * The fields of a request on their way to the upstream: one pass over the raw fields, one flat array out.
 *
 * Three groups do not pass. Fields of the connection (RFC 9110, section 7.6.1) and those this hop frames anew. Fields
 * by which the gateway speaks to the agent: whatever a caller put there is deleted, in any case and with any separator,
 * because CGI-like servers read `x_sage_verified_did` and `X-Sage-Verified-DID` as one name. Fields by which some
 * frameworks replace the method or path, which would undo what policy decided.
 */
import { formatTraceparent } from '../trace-context.ts';
import type { Exchange } from './exchange.ts';

/** What is to happen with a field; a union of small numbers because it is asked for each field of each request. */
const KEEP = 0;
const DROP = 1;
const CONNECTION = 2;
const COOKIE = 3;
const VIA = 4;
const FORWARDED_FOR = 5;
const FORWARDED_HOST = 6;
const FORWARDED_PROTO = 7;
const TE = 8;
const CONTENT_LENGTH = 9;
const TRACESTATE = 10;

const DASH = 0x2d;
const COLON = 0x3a;
const LOWER_X = 0x78;
const CASE_BIT = 0x20;

/** How this gateway calls itself in Via (RFC 9110, section 7.6.3): a pseudonym, since host names are nobody's business. */
const VIA_H1 = '1.1 sage';
const VIA_H2 = '2.0 sage';

const FOLDED_SAGE = 'x-sage-';
const FOLDED_FORWARDED = 'x-forwarded-';
/** Names as `fold` leaves them. */
const FOLDED_DROPPED: ReadonlySet<string> = new Set([
  'x-request-id',
  // By these, too, frameworks learn the caller's address or the host that was asked for.
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-host',
  'x-original-host',
  // Symfony, IIS and others take the path or the method from these, past the policy that saw another one.
  'x-original-url',
  'x-rewrite-url',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
]);

/**
 * What `Connection` can never take away: what the agent needs in order to see the request that was verified and decided.
 * Whoever stands between the caller and us could otherwise strip them (RFC 9110, section 7.6.1: a sender must not list
 * fields intended for all recipients). Fields that the signature covers are protected as well.
 */
const NOT_STRIPPABLE: ReadonlySet<string> = new Set([
  'accept',
  'authorization',
  'cache-control',
  'content-digest',
  'content-encoding',
  'content-length',
  'content-type',
  'cookie',
  'date',
  'origin',
  'range',
  'signature',
  'signature-input',
]);

function isAlphanumeric(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || ((code | CASE_BIT) >= 0x61 && (code | CASE_BIT) <= 0x7a);
}

/** Whether `name` is `lower` in any case and with any separator where `lower` has a dash. Both are equally long. */
function isName(name: string, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) {
    const code = name.charCodeAt(i);
    const wanted = lower.charCodeAt(i);
    if (code === wanted) continue;
    if (wanted === DASH ? isAlphanumeric(code) : code < 0x41 || code > 0x5a || (code | CASE_BIT) !== wanted)
      return false;
  }
  return true;
}

/** Lower-case, every separator a dash: how a server that builds variables from names sees it. */
function fold(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '-');
}

/** Third letters of all names that `kindOfX` knows, in both cases; no other field needs a closer look. */
const THIRD_LETTERS = 'sSfFrRoOhHmMcC';

function kindOfX(name: string): number {
  if (!THIRD_LETTERS.includes(name[2] ?? '')) return KEEP;
  const exact = name.toLowerCase();
  if (exact === 'x-forwarded-for') return FORWARDED_FOR;
  if (exact === 'x-forwarded-host') return FORWARDED_HOST;
  if (exact === 'x-forwarded-proto') return FORWARDED_PROTO;
  const folded = fold(name);
  const dropped =
    folded.startsWith(FOLDED_SAGE) || folded.startsWith(FOLDED_FORWARDED) || FOLDED_DROPPED.has(folded);
  return dropped ? DROP : KEEP;
}

function kindOf(name: string): number {
  const first = name.charCodeAt(0);
  if ((first | CASE_BIT) === LOWER_X && name.length > 1 && !isAlphanumeric(name.charCodeAt(1)))
    return kindOfX(name);
  // A pseudo-header field of HTTP/2: undici makes its own.
  if (first === COLON) return DROP;
  switch (name.length) {
    case 2:
      return isName(name, 'te') ? TE : KEEP;
    case 3:
      return isName(name, 'via') ? VIA : KEEP;
    case 4:
      return isName(name, 'host') ? DROP : KEEP;
    case 6:
      return isName(name, 'cookie') ? COOKIE : isName(name, 'expect') ? DROP : KEEP;
    case 7:
      // Request trailers cannot be sent on, so announcing them would be a lie.
      return isName(name, 'upgrade') || isName(name, 'trailer') ? DROP : KEEP;
    case 9:
      return isName(name, 'forwarded') || isName(name, 'client-ip') ? DROP : KEEP;
    case 10:
      if (isName(name, 'connection')) return CONNECTION;
      return isName(name, 'tracestate') ? TRACESTATE : isName(name, 'keep-alive') ? DROP : KEEP;
    case 11:
      return isName(name, 'traceparent') ? DROP : KEEP;
    case 14:
      if (isName(name, 'content-length')) return CONTENT_LENGTH;
      return isName(name, 'http2-settings') || isName(name, 'true-client-ip') ? DROP : KEEP;
    case 16:
      return isName(name, 'proxy-connection') || isName(name, 'cf-connecting-ip') ? DROP : KEEP;
    case 17:
      return isName(name, 'transfer-encoding') ? DROP : KEEP;
    case 19:
      return isName(name, 'proxy-authorization') ? DROP : KEEP;
    default:
      return KEEP;
  }
}

/** Fields that the caller's signature covers, whole or in part (`"x-tenant";key="id"`). */
function coveredNames({ caller }: Exchange): ReadonlySet<string> {
  const names = new Set<string>();
  for (const identifier of caller?.covered ?? []) names.add(identifier.slice(1, identifier.indexOf('"', 1)));
  return names;
}

/** Removes from `out` what `Connection` lists, as far as it may. */
function dropListed(out: string[], connection: string, exchange: Exchange): string[] {
  const listed = new Set<string>();
  const covered = coveredNames(exchange);
  for (const part of connection.toLowerCase().split(',')) {
    const token = part.trim();
    if (!NOT_STRIPPABLE.has(token) && !covered.has(token)) listed.add(token);
  }
  const kept: string[] = [];
  for (let i = 0; i < out.length; i += 2) {
    const name = out[i] ?? '';
    if (!listed.has(name.toLowerCase())) kept.push(name, out[i + 1] ?? '');
  }
  return kept;
}

/** The usual values list nothing but the connection's own persistence. */
function listsFields(connection: string): boolean {
  return connection !== 'keep-alive' && connection !== 'close' && connection !== 'Keep-Alive';
}

function join(before: string, separator: string, value: string): string {
  return before === '' ? value : before + separator + value;
}

/** What the first pass collects besides the fields it keeps. */
interface Gathered {
  cookie: string;
  connection: string;
  via: string;
  forwardedFor: string;
  forwardedHost: string;
  forwardedProto: string;
}

function appendOwn(out: string[], exchange: Exchange, gathered: Gathered): void {
  const { caller, record, peerTrusted } = exchange;
  const via = exchange.transport === 'h2' ? VIA_H2 : VIA_H1;
  out.push('via', join(gathered.via, ', ', via));
  // What an untrusted peer says about earlier hops is not continued: it would look as if we vouched for it.
  out.push(
    'x-forwarded-for',
    peerTrusted ? join(gathered.forwardedFor, ', ', exchange.peerAddress) : exchange.peerAddress,
  );
  out.push('x-forwarded-proto', (peerTrusted && gathered.forwardedProto) || exchange.scheme);
  const host = (peerTrusted && gathered.forwardedHost) || exchange.authority;
  if (host !== '') out.push('x-forwarded-host', host);
  out.push('x-request-id', record.requestId);
  out.push('traceparent', formatTraceparent(record.traceId, record.spanId, record.traceFlags));
  if (caller === null || caller.did === '') {
    out.push('x-sage-auth-method', 'none');
    return;
  }
  out.push(
    'x-sage-auth-method',
    caller.method,
    'x-sage-verified-did',
    caller.did,
    'x-sage-key-id',
    caller.keyId,
  );
}

/**
 * The flat fields to send upstream. Host is left to the connection (the upstream's own authority, the caller's in
 * X-Forwarded-Host), a Buffer's Content-Length to undici.
 * @param toH2 whether the upstream speaks HTTP/2, where `te: trailers` may pass and cookies may stay apart
 * @param streamed whether the body is a stream, whose Content-Length is the caller's to state
 */
export function upstreamRequestHeaders(exchange: Exchange, toH2: boolean, streamed: boolean): string[] {
  const raw = exchange.req.rawHeaders;
  const out: string[] = [];
  const gathered: Gathered = {
    cookie: '',
    connection: '',
    via: '',
    forwardedFor: '',
    forwardedHost: '',
    forwardedProto: '',
  };
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    switch (kindOf(name)) {
      case KEEP:
        out.push(name, value);
        break;
      case COOKIE:
        gathered.cookie = join(gathered.cookie, '; ', value);
        break;
      case CONNECTION:
        if (listsFields(value)) gathered.connection = join(gathered.connection, ',', value);
        break;
      case VIA:
        gathered.via = join(gathered.via, ', ', value);
        break;
      case FORWARDED_FOR:
        gathered.forwardedFor = join(gathered.forwardedFor, ', ', value);
        break;
      case FORWARDED_HOST:
        gathered.forwardedHost = value;
        break;
      case FORWARDED_PROTO:
        gathered.forwardedProto = value;
        break;
      case TE:
        // The only coding HTTP/2 knows; gRPC servers insist on it. Over HTTP/1.1 it would need a Connection of its own.
        if (toH2 && value.toLowerCase().includes('trailers')) out.push('te', 'trailers');
        break;
      case CONTENT_LENGTH:
        // A name such as `content_length` is no framing of ours, but some servers take it for one.
        if (streamed && name.charCodeAt(7) === DASH) out.push(name, value);
        break;
      case TRACESTATE:
        // Without a valid traceparent a tracestate means nothing (W3C Trace Context, section 3.3).
        if (exchange.record.parentSpanId !== null) out.push(name, value);
        break;
    }
  }
  // RFC 9113, section 8.2.3: cookies that HTTP/2 sent apart are one field for HTTP/1.1.
  if (gathered.cookie !== '') out.push('cookie', gathered.cookie);
  const kept = gathered.connection === '' ? out : dropListed(out, gathered.connection, exchange);
  appendOwn(kept, exchange, gathered);
  return kept;
}
