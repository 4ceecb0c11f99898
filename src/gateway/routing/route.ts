/**
 * Reads a request target once, for everyone: which agent, what the upstream gets, what policy decides on. A target
 * that the gateway, its policy and the agent could read differently is refused rather than repaired: a rule for
 * `/admin/**` is worth nothing when `/public/..%2Fadmin` gets past it and the agent then resolves the dots.
 */
import { Refused } from '../refusal.ts';
import { ROUTING_REFUSALS } from './errors.ts';

export interface Route {
  readonly agentId: string;
  /** For the upstream: the agent's prefix removed, path and query otherwise byte for byte as received; never empty. */
  readonly upstream: string;
  /** The whole path, as received, without query: for the record. */
  readonly rawPath: string;
  /** The whole path, percent-decoded exactly once: for policy. */
  readonly policyPath: string;
}

const PREFIX = '/agents/';
/** Longer targets than this serve only to cost something; browsers and proxies commonly stop at 8 KiB too. */
const TARGET_LENGTH_MAX = 8_192;
/** An id is at most this long, so that looking one up costs the same for everybody. */
const AGENT_ID_LENGTH_MAX = 63;

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const QUESTION = 0x3f;
const HASH = 0x23;
const BACKSLASH = 0x5c;
const FIRST_VISIBLE = 0x21;
const LAST_VISIBLE = 0x7e;

/** Encoded slash, backslash, DEL and every control character; decoding one would change where a segment ends. */
const ENCODED_DELIMITER = /%(?:2f|5c|7f|[01][0-9a-f])/i;
/** A segment that is `.` or `..`, with or without `;` parameters: some servers drop those before they resolve dots. */
const DOT_SEGMENT = /\/\.{1,2}(?:[/;]|$)/;

function ambiguous(explanation: string): Refused {
  return new Refused(ROUTING_REFUSALS.path_ambiguous, { explanation });
}

/** Where the path ends: the index of `?`, or the length. Throws for what can never stand in a target. */
function endOfPath(raw: string): number {
  let end = raw.length;
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code < FIRST_VISIBLE || code > LAST_VISIBLE)
      throw ambiguous('a character outside visible ASCII in the target');
    if (code === HASH) throw ambiguous('a fragment in the target');
    if (code === QUESTION && end === raw.length) end = i;
  }
  return end;
}

/** Whether the path from `from` to `end` must be looked at closely; throws for what is ambiguous as it stands. */
function needsDecoding(raw: string, from: number, end: number): boolean {
  let suspicious = false;
  let previous = 0;
  for (let i = from; i < end; i++) {
    const code = raw.charCodeAt(i);
    if (code === SLASH && previous === SLASH) throw ambiguous('an empty segment in the path');
    if (code === BACKSLASH) throw ambiguous('a backslash in the path');
    if (code === PERCENT || (code === DOT && previous === SLASH)) suspicious = true;
    previous = code;
  }
  return suspicious;
}

/** @throws {Refused} `path_ambiguous` when decoding fails or would move a segment's border. */
function decodePath(path: string): string {
  if (ENCODED_DELIMITER.test(path))
    throw ambiguous('an encoded slash, backslash or control character in the path');
  let decoded: string;
  try {
    // Strict: a stray "%", an overlong form and a lone surrogate all throw (RFC 3629, section 3).
    decoded = decodeURIComponent(path);
  } catch (cause) {
    throw new Refused(ROUTING_REFUSALS.path_ambiguous, {
      explanation: 'invalid percent-encoding in the path',
      cause,
    });
  }
  if (DOT_SEGMENT.test(decoded)) throw ambiguous('a dot segment in the path');
  return decoded;
}

/**
 * Reads `/agents/{id}/rest?query` in origin form (RFC 9112, section 3.2.1).
 * @throws {Refused} `agent_unknown`, `path_ambiguous` or `target_too_long`
 */
export function readRoute(raw: string): Route {
  if (raw.length > TARGET_LENGTH_MAX) throw new Refused(ROUTING_REFUSALS.target_too_long);
  const end = endOfPath(raw);
  if (!raw.startsWith(PREFIX)) throw new Refused(ROUTING_REFUSALS.agent_unknown);
  let idEnd = raw.indexOf('/', PREFIX.length);
  if (idEnd < 0 || idEnd > end) idEnd = end;
  const agentId = raw.slice(PREFIX.length, idEnd);
  if (agentId.length === 0 || agentId.length > AGENT_ID_LENGTH_MAX)
    throw new Refused(ROUTING_REFUSALS.agent_unknown);

  const rawPath = end === raw.length ? raw : raw.slice(0, end);
  const policyPath = needsDecoding(raw, PREFIX.length - 1, end) ? decodePath(rawPath) : rawPath;
  const rest = raw.slice(idEnd);
  const upstream = rest.length > 0 && rest.charCodeAt(0) === SLASH ? rest : `/${rest}`;
  return { agentId, upstream, rawPath, policyPath };
}
