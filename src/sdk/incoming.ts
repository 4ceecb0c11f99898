/** A request as it arrived, in the forms servers have it, read into the one the wire takes. */
import type { Bytes } from '../trust/wire/bytes.ts';
import { WireError } from '../trust/wire/errors.ts';
import { type RequestView, requestView } from '../trust/wire/message.ts';
import { type BodyBounds, readRequestBody, readStream } from './body.ts';
import { RequestRefused, SdkError } from './errors.ts';
import { type HeadersInput, pairsOf } from './headers.ts';

/** A request that was received or captured, where there is no `Request`. */
export interface ReceivedRequest {
  readonly method: string;
  /** As it was called; or the path and query alone, the host then being that of the `host` field. */
  readonly url: string | URL;
  /** With every line that was received: merged headers hide repeated ones. */
  readonly headers: HeadersInput;
  readonly body?: Uint8Array | ReadableStream<Uint8Array> | null | undefined;
}

export interface Incoming {
  readonly method: string;
  /** Path and query, byte for byte. */
  readonly target: string;
  /** Flat name, value, name, value, as received. */
  readonly rawHeaders: readonly string[];
  /** Host field or pseudo-header, as received. */
  readonly authority: string;
  /** Whether content follows; only a stream that nobody has begun to read leaves it open. */
  hasBody(bounds: BodyBounds): boolean | Promise<boolean>;
  /** The whole body; called once, and only when there is one. */
  read(bounds: BodyBounds): Promise<Bytes>;
}

/** Told by what it can do: frameworks make requests of classes of their own. */
export function isRequest(request: object): request is Request {
  return 'arrayBuffer' in request;
}

export function incomingOf(request: Request | ReceivedRequest): Incoming {
  return isRequest(request) ? incomingRequest(request) : incomingParts(request);
}

/** Adds the host of the URL where the platform keeps it to itself. */
function withHost(pairs: [string, string][], url: URL | null): { rawHeaders: string[]; authority: string } {
  const host = pairs.find(([name]) => name === 'host' || name === ':authority')?.[1];
  if (host === undefined && url !== null) pairs.push(['host', url.host]);
  return { rawHeaders: pairs.flat(), authority: host ?? url?.host ?? '' };
}

function incomingRequest(request: Request): Incoming {
  const url = new URL(request.url);
  const declared = request.headers.get('content-length');
  let first: Uint8Array | undefined;
  let stream: ReadableStream<Uint8Array> | null = null;
  return {
    method: request.method,
    target: targetOf(url),
    ...withHost(pairsOf(request.headers), url),
    async hasBody(bounds) {
      if (request.bodyUsed) throw new SdkError('body_consumed');
      if (request.body === null) return false;
      if (Number(declared) > 0 || request.headers.has('transfer-encoding')) return true;
      // Some servers give an empty stream to a request that has no body, and only reading tells.
      [first, stream] = await firstChunk(request, bounds);
      return first !== undefined;
    },
    async read(bounds) {
      const body =
        stream === null ? await readRequestBody(request, bounds) : await readStream(stream, bounds, first);
      return body ?? new Uint8Array(0);
    },
  };
}

/** Path and query as they are sent; `search` hides a question mark that nothing follows. */
function targetOf(url: URL): string {
  return (url.href.split('#', 1)[0] ?? '').slice(url.origin.length);
}

/** The first chunk that holds anything, and a stream of what follows it. */
async function firstChunk(
  request: Request,
  bounds: BodyBounds,
): Promise<[Uint8Array | undefined, ReadableStream<Uint8Array> | null]> {
  const { body } = request;
  if (body === undefined || body === null) {
    const bytes = await readRequestBody(request, bounds);
    const rest = new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
    return [bytes ?? undefined, rest];
  }
  const reader = body.getReader();
  let late: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    late = setTimeout(() => reject(new RequestRefused('body_timeout')), bounds.timeoutMs);
  });
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), timeout]);
      if (done) return [undefined, null];
      if (value.length > 0) {
        reader.releaseLock();
        return [value, body];
      }
    }
  } catch (error) {
    reader.cancel().catch(() => undefined);
    if (error instanceof RequestRefused) throw error;
    throw new RequestRefused('body_aborted', undefined, { cause: error });
  } finally {
    clearTimeout(late);
  }
}

function incomingParts({ method, url, headers, body }: ReceivedRequest): Incoming {
  const relative = typeof url === 'string' && url.startsWith('/');
  const absolute = relative ? null : absoluteUrl(url);
  return {
    method,
    target: absolute === null ? String(url) : targetOf(absolute),
    ...withHost(pairsOf(headers), absolute),
    hasBody: () => body !== undefined && body !== null && (!(body instanceof Uint8Array) || body.length > 0),
    read: async (bounds) => {
      if (body instanceof ReadableStream) return readStream(body, bounds);
      if (body === undefined || body === null) return new Uint8Array(0);
      if (body.length > bounds.maxBytes)
        throw new RequestRefused('body_too_large', `more than ${bounds.maxBytes} bytes`);
      return Uint8Array.from(body);
    },
  };
}

function absoluteUrl(url: string | URL): URL {
  try {
    return new URL(url);
  } catch (error) {
    throw new SdkError('url_invalid', undefined, error);
  }
}

export interface Origin {
  readonly scheme: 'http' | 'https';
  readonly authority: string;
}

/**
 * The origins under which a server may be called: a request that was signed for another host is refused even where
 * it arrives here (RFC 9421, section 7.2.1).
 * @throws {SdkError} options_invalid
 */
export function readOrigins(urls: string | readonly string[]): ReadonlyMap<string, Origin> {
  const origins = new Map<string, Origin>();
  for (const text of typeof urls === 'string' ? [urls] : urls) {
    const url = URL.canParse(text) ? new URL(text) : null;
    const scheme = url?.protocol === 'https:' ? 'https' : url?.protocol === 'http:' ? 'http' : null;
    if (url === null || scheme === null || !isBare(url))
      throw new SdkError('options_invalid', `origins: ${text} is no origin such as https://api.example`);
    const origin: Origin = { scheme, authority: url.host };
    origins.set(url.host, origin);
    // A Host field may spell out the default port; it names the same origin (RFC 9110, section 4.2.3).
    if (url.port === '') origins.set(`${url.host}:${scheme === 'https' ? 443 : 80}`, origin);
  }
  if (origins.size === 0) throw new SdkError('options_invalid', 'origins: name at least one');
  return origins;
}

/** A path, a query or a user in it would be silently without effect. */
function isBare({ pathname, search, hash, username }: URL): boolean {
  return pathname === '/' && search === '' && hash === '' && username === '';
}

/** @throws {RequestRefused} authority_unknown @throws {WireError} host_missing, too_many_fields */
export function viewOf(incoming: Incoming, origins: ReadonlyMap<string, Origin>): RequestView {
  const { method, target, rawHeaders, authority } = incoming;
  if (authority === '') throw new WireError('host_missing');
  const origin = origins.get(authority.toLowerCase());
  if (origin === undefined)
    throw new RequestRefused('authority_unknown', `${authority.slice(0, 128)} is not among the origins`);
  return requestView({ method, scheme: origin.scheme, authority: origin.authority, target, rawHeaders });
}
