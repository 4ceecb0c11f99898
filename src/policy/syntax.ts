/**
 * The small notations of the policy file: rates, days, hours, DID patterns, path patterns, header globs, dates. Each has a
 * `…Fault` that says what is wrong (the schema asks it) and a parser that may then trust its input.
 */
import { spellingOf } from '../trust/did/did-url.ts';

/** Longest pattern of any kind: longer than any DID or path that the listener lets in is never useful. */
const PATTERN_LENGTH_MAX = 1_024;
/** `**` may stand for any number of segments; two of them are all that a path needs, and bound the matching. */
const GLOBSTARS_MAX = 2;
/** A glob costs one search per `*`. */
const HEADER_STARS_MAX = 8;
const MINUTES_PER_DAY = 1_440;
const MINUTES_PER_WEEK = 7 * MINUTES_PER_DAY;
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

const PERIODS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const RATE = /^([1-9][0-9]{0,8})\/([smhd])$/;

interface Rate {
  /** Requests a period. */
  readonly rate: number;
  readonly periodMs: number;
}

export function rateFault(text: string): string | null {
  return RATE.test(text)
    ? null
    : `\`${text}\` is not a rate such as \`100/m\` (a number from 1, then /s, /m, /h or /d)`;
}

export function parseRate(text: string): Rate {
  const [, rate = '', unit = ''] = RATE.exec(text) ?? [];
  return { rate: Number(rate), periodMs: PERIODS_MS[unit as keyof typeof PERIODS_MS] };
}

const DID_EXACT = /^did:[a-z0-9]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._%-]$/;
const DID_PREFIX = /^(did:([a-z0-9]+:[A-Za-z0-9._:%-]*)?)?\*$/;

/**
 * A DID, or its beginning and `*`. Two patterns that look right and are not are refused: `did:web:acme.com*` also matches
 * `did:web:acme.com.evil.example`; and upper case in an account, a registry or a did:web host never matches, since callers' DIDs
 * are in lower case there: an allow rule would be dead, a deny rule open.
 */
export function didPatternFault(text: string): string | null {
  if (text.length > PATTERN_LENGTH_MAX) return `the pattern is longer than ${PATTERN_LENGTH_MAX} characters`;
  if (!DID_EXACT.test(text) && !DID_PREFIX.test(text)) {
    return `\`${text}\` is neither a DID nor the beginning of one followed by \`*\``;
  }
  if (/^did:web:[^:]+\*$/.test(text) && !text.endsWith(':*')) {
    const host = text.slice('did:web:'.length, -1);
    return `\`${text}\` would also match \`did:web:${host}.evil.example\`; write \`did:web:${host}\` and \`did:web:${host}:*\``;
  }
  if (/^did:(?:sage:eip155|ethr|pkh):/.test(text) && text !== text.toLowerCase())
    return `\`${text}\`: DIDs of accounts and of registered agents are in lower case`;
  const spelling = spellingOf(text);
  if (spelling !== null && spelling !== text)
    return `\`${text}\`: callers of that name are known as \`${spelling}\``;
  const [named = ''] = /^did:(?:ethr:(?:mainnet|sepolia|0x1):|sage:[a-z]+:)/i.exec(text) ?? [];
  if (named !== '' && named !== 'did:sage:ethereum:')
    return `\`${text}\`: no caller's DID begins with \`${named}\`: did:ethr names other chains by number, did:sage begins with did:sage:ethereum:`;
  const [, , webHost = ''] = text.startsWith('did:web:') ? text.split(':') : [];
  // A port is percent-encoded (`%3A`), the only upper case that a did:web host may hold.
  if (webHost.replaceAll('%3A', '') !== webHost.replaceAll('%3A', '').toLowerCase()) {
    return `\`${text}\`: the host of a did:web is in lower case`;
  }
  return null;
}

/** RFC 9110, section 5.6.2; methods are case-sensitive (section 9.1), and all registered ones are upper case. */
export function methodFault(text: string): string | null {
  if (/^[A-Z][A-Z0-9-]{0,31}$/.test(text)) return null;
  const upper = text.toUpperCase();
  const hint = upper !== text && /^[A-Z][A-Z0-9-]{0,31}$/.test(upper) ? `, did you mean \`${upper}\`?` : '';
  return `\`${text}\` is not a method in upper case${hint}`;
}

export function pathPatternFault(text: string): string | null {
  if (!text.startsWith('/')) return `\`${text}\` must begin with \`/\``;
  if (text.length > PATTERN_LENGTH_MAX) return `the pattern is longer than ${PATTERN_LENGTH_MAX} characters`;
  const segments = parsePath(text);
  for (const segment of segments) {
    if (segment === '.' || segment === '..')
      return `\`${text}\`: paths are normalised before they are matched, \`${segment}\` never is in one`;
    if (segment.includes('*') && segment !== '*' && segment !== '**') {
      return `\`${text}\`: \`*\` stands for one whole segment and \`**\` for any number of them, never for a part of one`;
    }
  }
  if (/[?#]/.test(text)) return `\`${text}\`: a path has no query and no fragment`;
  if (/%[0-9A-Fa-f]{2}/.test(text))
    return `\`${text}\`: paths are percent-decoded before they are matched; write the character itself`;
  if (segments.filter((segment) => segment === '**').length > GLOBSTARS_MAX) {
    return `\`${text}\`: at most ${GLOBSTARS_MAX} \`**\` are supported`;
  }
  return null;
}

/** Segments without empty ones: `/a//b/` and `/a/b` are the same place to many servers, so a rule sees them as one. */
export function parsePath(text: string): string[] {
  return text.split('/').filter((segment) => segment !== '');
}

/** RFC 9110, section 5.1: a token; names are case-insensitive and kept in lower case here. */
export function headerNameFault(name: string): string | null {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(name)) return `\`${name}\` is not a header name`;
  return name === name.toLowerCase() ? null : `write header names in lower case: \`${name.toLowerCase()}\``;
}

export function headerGlobFault(text: string): string | null {
  if (text.length > PATTERN_LENGTH_MAX) return `the pattern is longer than ${PATTERN_LENGTH_MAX} characters`;
  const stars = text.split('*').length - 1;
  return stars > HEADER_STARS_MAX ? `at most ${HEADER_STARS_MAX} \`*\` are supported in a value` : null;
}

/** `mon-fri`, `sat,sun`; a range may wrap (`fri-mon`). */
export function daysFault(text: string): string | null {
  for (const part of text.split(',')) {
    const ends = part.trim().split('-');
    const bad = ends.find((day) => !DAYS.includes(day));
    if (bad !== undefined || ends.length > 2) {
      return `\`${part.trim()}\` is neither a day (${DAYS.join(', ')}) nor a range of days such as \`mon-fri\``;
    }
  }
  return null;
}

/** Numbers of days, Monday 0. */
function parseDays(text: string): number[] {
  const days = new Set<number>();
  for (const part of text.split(',')) {
    const [from = '', to = from] = part.trim().split('-');
    const last = DAYS.indexOf(to);
    for (let day = DAYS.indexOf(from); ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return [...days].sort((a, b) => a - b);
}

const HOURS = /^([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)$/;

/** `HH:MM-HH:MM`; the end is excluded; an end before the start is on the next day. */
export function hoursFault(text: string): string | null {
  if (!HOURS.test(text)) return `\`${text}\` is not a time of day such as \`08:00-18:30\``;
  const { from, to } = parseHours(text);
  return from === to
    ? `\`${text}\` begins and ends at the same minute; write \`00:00-24:00\` for the whole day`
    : null;
}

/** Minutes since midnight. */
function parseHours(text: string): { from: number; to: number } {
  const [, h1 = '', m1 = '', h2 = '24', m2 = '0'] = HOURS.exec(text) ?? [];
  return { from: Number(h1) * 60 + Number(m1), to: Number(h2) * 60 + Number(m2) };
}

/**
 * Half-open spans of minutes of the week (0 = Monday 00:00), none of which crosses the week's end. Hours that cross midnight
 * belong to the day they begin on: `fri` with `22:00-06:00` ends on Saturday at six.
 */
export function weekSpans(
  days: readonly string[] | null,
  hours: readonly string[] | null,
): [number, number][] {
  const spans: [number, number][] = [];
  for (const day of new Set((days ?? ['mon-sun']).flatMap(parseDays))) {
    for (const text of hours ?? ['00:00-24:00']) {
      const { from, to } = parseHours(text);
      const start = day * MINUTES_PER_DAY + from;
      const end = day * MINUTES_PER_DAY + to + (to < from ? MINUTES_PER_DAY : 0);
      spans.push([start, Math.min(end, MINUTES_PER_WEEK)]);
      if (end > MINUTES_PER_WEEK) spans.push([0, end - MINUTES_PER_WEEK]);
    }
  }
  return spans.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

export function timezoneFault(text: string): string | null {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return null;
  } catch {
    return `\`${text}\` is not a time zone such as \`Asia/Seoul\` or \`UTC\``;
  }
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

/** RFC 3339, seconds optional; the offset is not, since a local time names no instant. */
export function instantFault(text: string): string | null {
  return INSTANT.test(text) && !Number.isNaN(Date.parse(text))
    ? null
    : `\`${text}\` is not a date and time with an offset, such as \`2026-11-20T10:00+09:00\``;
}

/** Milliseconds since the epoch. */
export function parseInstant(text: string): number {
  return Date.parse(text);
}
