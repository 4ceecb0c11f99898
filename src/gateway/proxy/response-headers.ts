/** The fields of a response on their way to the caller. undici gives them by lower-case name, repeated ones as an array. */

/** One field's values: a string, or several lines of the same name. */
export type UpstreamHeaders = Record<string, string | string[] | undefined>;

export interface ResponseHead {
  /** Flat name, value pairs. */
  readonly fields: string[];
  /** From Content-Length; -1 when there is none. */
  readonly contentLength: number;
}

/** RFC 9110, section 6.5.1: a trailer must not change what was decided from the head. */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'host',
  'keep-alive',
  'location',
  'proxy-authenticate',
  'proxy-connection',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
]);

/** Fields of the upstream's connection, or by which an agent could speak in the gateway's name. */
function isDropped(name: string): boolean {
  switch (name) {
    case 'connection':
    case 'keep-alive':
    case 'proxy-connection':
    case 'proxy-authenticate':
    case 'proxy-authentication-info':
    case 'te':
    case 'transfer-encoding':
    case 'upgrade':
    case 'http2-settings':
    // It would lead callers to the agent's own port, past this gateway (RFC 7838).
    case 'alt-svc':
      return true;
    default:
      return name.charCodeAt(0) === 0x3a || name.startsWith('x-sage-');
  }
}

function isOverridden(name: string, own: readonly string[]): boolean {
  for (let i = 0; i < own.length; i += 2) if (own[i] === name) return true;
  return false;
}

function listedIn(connection: string | string[] | undefined): readonly string[] | null {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return null;
  const value = typeof connection === 'string' ? connection : connection.join(',');
  return value
    .toLowerCase()
    .split(',')
    .map((token) => token.trim());
}

/**
 * @param noContent true for 204, which has no Content-Length either (RFC 9110, section 8.6)
 * @param trailers whether the response as the caller gets it can end in trailers
 * @param own our fields, lower-case; they replace the upstream's of the same name
 */
export function clientResponseHead(
  headers: UpstreamHeaders,
  noContent: boolean,
  trailers: boolean,
  own: readonly string[],
): ResponseHead {
  const fields: string[] = [];
  const listed = listedIn(headers.connection);
  let contentLength = -1;
  for (const name of Object.keys(headers)) {
    if (isDropped(name) || listed?.includes(name)) continue;
    if (own.length > 0 && isOverridden(name, own)) continue;
    const value = headers[name];
    if (name === 'content-length') {
      if (noContent || typeof value !== 'string') continue;
      contentLength = Number(value);
    }
    // Node throws for a Trailer field in a message that is not chunked; such a message has no trailers anyway.
    if (name === 'trailer' && (!trailers || headers['content-length'] !== undefined)) continue;
    if (typeof value === 'string') fields.push(name, value);
    else if (value !== undefined) for (const line of value) fields.push(name, line);
  }
  for (const part of own) fields.push(part);
  return { fields, contentLength };
}

/** The trailers that may pass, or null when there are none. */
export function clientTrailers(
  trailers: UpstreamHeaders | null | undefined,
): Record<string, string | string[]> | null {
  if (trailers === null || trailers === undefined) return null;
  let kept: Record<string, string | string[]> | null = null;
  for (const name of Object.keys(trailers)) {
    const value = trailers[name];
    if (value === undefined || NOT_IN_TRAILERS.has(name) || isDropped(name)) continue;
    kept ??= {};
    kept[name] = value;
  }
  return kept;
}
