/**
 * What keeps secrets out of the log and out of health answers. Three nets, because each has holes:
 *  1. by name: members called `authorization`, `signature`, `…token…` and their like are replaced, at any depth;
 *  2. by shape: URLs are cut to their origin (an RPC URL's path or query *is* its key, userinfo is a password), queries
 *     are cut away, bearer and basic credentials are cut to their scheme;
 *  3. by value: the secrets this process was configured with are masked wherever they turn up.
 */

const REDACTED = '[redacted]';

/** Deeper than any object logged on purpose; what lies below is not walked, and so not printed. */
const DEPTH_MAX = 6;
/** Members of one object or array that are printed. */
const MEMBERS_MAX = 100;
/** Characters of one string that are printed; a stack trace fits. */
const STRING_LENGTH_MAX = 8192;
/** A shorter "secret" would mask ordinary words. */
const SECRET_LENGTH_MIN = 8;

const SENSITIVE_NAME =
  /^(?:proxy-)?authorization$|^(?:set-)?cookie$|^signature$|api[-_]?key|token|secret|passw|passphrase|private[-_]?key|credential|mnemonic|^(?:session|bearer|jwt|otp|pin|query|querystring|search|searchparams)$/i;
/** Members that hold a request's target; its query is cut. */
const TARGET_NAME = /^(?:original|raw)?url$|^href$/i;
/** Private members of a JSON Web Key (RFC 7518, sections 6.2.2, 6.3.2 and 6.4). */
const JWK_PRIVATE = new Set(['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth']);

/** What follows `://`, in text or in a JSON string, where `\\"` must not end it but `\n` must. */
const AFTER_SCHEME = /(?:\\[^nrt]|[^\s"\\<>`|])*/y;
const SCHEME_AT_END = /[a-z][a-z0-9+.-]{1,20}$/i;
const SCHEME_LENGTH_MAX = 21;
const HOST_AT_START = /^(?:\[[0-9a-f:.]*\]|[\w.-]*)(?::\d{1,5})?/i;
/** What may follow a host in prose and says nothing. */
const HARMLESS_TAIL = /^[/),.;:'\]}]*$/;
/** A query in text, such as Fastify's `Route GET:/x?key=… not found`. */
const QUERY_IN_TEXT = /\?[\w.~%+[\]-]{1,64}=(?:\\[^nrt]|[^\s"\\])*/g;
const CREDENTIAL_AHEAD = /(?:bearer|basic)\s/i;
// No word boundary before: in JSON, a line break is an `n` before the word.
const CREDENTIAL_IN_TEXT = /(bearer|basic)\s+[\w.~+/=:-]{4,}/gi;

/** An API key of ours: what is before the dot only names it. */
const API_KEY_IN_TEXT = /(sage_[\w-]{12}\.)[\w-]{43}/g;

/** What follows a scheme, cut: `//user:pw@rpc.example/v3/KEY?x=1` becomes `[redacted]@rpc.example/[redacted]`. */
function cutAuthority(rest: string): string {
  // The last `@`, for a password may hold one, and a slash before it, too.
  const at = rest.lastIndexOf('@');
  const host = HOST_AT_START.exec(at === -1 ? rest : rest.slice(at + 1))?.[0] ?? '';
  const tail = rest.slice(at + 1 + host.length);
  return `${at === -1 ? '' : `${REDACTED}@`}${host}${HARMLESS_TAIL.test(tail) ? tail : `/${REDACTED}`}`;
}

/** Cuts every URL to its origin. It looks for `://` rather than for a scheme, which costs a tenth on a log line. */
function cutUrls(text: string): string {
  let clean = '';
  let copied = 0;
  for (let at = text.indexOf('://'); at !== -1; at = text.indexOf('://', Math.max(at + 3, copied))) {
    const scheme = SCHEME_AT_END.exec(text.slice(Math.max(copied, at - SCHEME_LENGTH_MAX), at))?.[0];
    // `file:` has no authority, and stack traces are full of it.
    if (scheme === undefined || scheme === 'file') continue;
    AFTER_SCHEME.lastIndex = at + 3;
    const rest = AFTER_SCHEME.exec(text)?.[0] ?? '';
    clean += text.slice(copied, at + 3) + cutAuthority(rest);
    copied = at + 3 + rest.length;
  }
  return copied === 0 ? text : clean + text.slice(copied);
}

/** Cuts URLs to their origins, queries away, and credentials to their schemes. Safe on text and on a line of JSON. */
export function scrubText(text: string): string {
  let clean = cutUrls(text);
  if (clean.includes('?')) clean = clean.replace(QUERY_IN_TEXT, `?${REDACTED}`);
  if (clean.includes('sage_')) clean = clean.replace(API_KEY_IN_TEXT, `$1${REDACTED}`);
  // A cheap look first: almost no line has credentials in it.
  return CREDENTIAL_AHEAD.test(clean) ? clean.replace(CREDENTIAL_IN_TEXT, `$1 ${REDACTED}`) : clean;
}

/** A function that masks each of `secrets` (and its JSON spelling) and then scrubs by shape. */
export function createScrubber(secrets: readonly string[]): (text: string) => string {
  const needles = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < SECRET_LENGTH_MIN) continue;
    needles.add(secret);
    needles.add(JSON.stringify(secret).slice(1, -1));
    needles.add(encodeURIComponent(secret));
  }
  const list = [...needles];
  return (text) => {
    let clean = text;
    for (const needle of list) {
      if (clean.includes(needle)) clean = clean.replaceAll(needle, REDACTED);
    }
    return scrubText(clean);
  };
}

function fromError(error: Error, depth: number): Record<string, unknown> {
  const plain: Record<string, unknown> = { type: error.name, message: clip(error.message) };
  if (error.stack !== undefined) plain.stack = clip(error.stack);
  if (error.cause !== undefined) plain.cause = walk(error.cause, depth + 1);
  return Object.assign(plain, members(error, depth));
}

function clip(text: string): string {
  return text.length <= STRING_LENGTH_MAX ? text : `${text.slice(0, STRING_LENGTH_MAX)}…`;
}

function members(value: object, depth: number): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  const isJwk = 'kty' in value;
  let count = 0;
  for (const [name, member] of Object.entries(value)) {
    if (++count > MEMBERS_MAX) {
      plain['…'] = 'more members';
      break;
    }
    if (typeof member === 'string' && TARGET_NAME.test(name)) {
      plain[name] = clip(member.split('?', 1)[0] ?? '');
      continue;
    }
    plain[name] =
      SENSITIVE_NAME.test(name) || (isJwk && JWK_PRIVATE.has(name)) ? REDACTED : walk(member, depth + 1);
  }
  return plain;
}

/** Flat name, value lists are how Node gives raw headers, so a sensitive name hides the element after it. */
function elements(value: readonly unknown[], depth: number): unknown[] {
  const plain: unknown[] = [];
  for (const element of value.slice(0, MEMBERS_MAX)) {
    const before = value[plain.length - 1];
    const hidden = plain.length > 0 && typeof before === 'string' && SENSITIVE_NAME.test(before);
    plain.push(hidden ? REDACTED : walk(element, depth + 1));
  }
  if (value.length > MEMBERS_MAX) plain.push('…');
  return plain;
}

function walk(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return clip(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  // Bytes are keys, bodies and signatures; none of them belongs in a log.
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (depth >= DEPTH_MAX) return '[deeper]';
  if (value instanceof Error) return fromError(value, depth);
  if (value instanceof Map) return members(Object.fromEntries(value), depth);
  if (value instanceof Set) return elements([...value], depth);
  if (Array.isArray(value)) return elements(value, depth);
  return members(value, depth);
}

/** A copy of `value` without sensitive members, bounded in depth, width and length. */
export function redactMembers(value: object): Record<string, unknown> {
  if (value instanceof Error) return fromError(value, 0);
  return members(value, 0);
}
