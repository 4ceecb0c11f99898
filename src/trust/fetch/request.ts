/** One GET over a connection of its own, to addresses that were checked before, under one deadline. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { FetchError, type FetchFault } from './errors.ts';

/** Of an answer's header section; Node's own default, said here so that no command line flag changes it. */
const HEADER_BYTES_MAX = 16_384;
/** Interim answers (1xx, RFC 9110, section 15.2) that are waited through; each may be as large as a header section. */
const INTERIM_ANSWERS_MAX = 4;
/** Of the connection, beside four times the body: chunks have sizes and may have extensions that end nowhere. */
const FRAMING_BYTES_MAX = 131_072;
/** Longest entity tag that is kept and sent back. */
const ETAG_CHARS_MAX = 256;
/** RFC 9110, section 8.8.3, without the bytes that are not ASCII. */
const ETAG = /^(?:W\/)?"[\x21\x23-\x7e]*"$/;

export interface GetOptions {
  readonly url: URL;
  readonly addresses: readonly string[];
  readonly mediaTypes: readonly string[];
  readonly bytesMax: number;
  readonly etag: string | null;
  /** PEM of what is trusted instead of the usual authorities; null: those. */
  readonly ca: string | null;
  /** Its reason is thrown when it aborts. */
  readonly signal: AbortSignal;
  /** Called once TLS stands and the host has proven its name. */
  readonly onSecure: () => void;
}

export type Fetched =
  | {
      readonly kind: 'body';
      readonly bytes: Buffer;
      readonly etag: string | null;
      /** How long the host says that it may be kept; null when it says nothing. Theirs is the wish, ours the cap. */
      readonly maxAgeMs: number | null;
    }
  /** 304: what the entity tag named still stands. */
  | { readonly kind: 'unchanged'; readonly maxAgeMs: number | null }
  /** 404 or 410: the host itself says that there is nothing. */
  | { readonly kind: 'absent' };

/** @throws FetchError, or the reason of the signal */
export function get(options: GetOptions): Promise<Fetched> {
  const { url, signal } = options;
  return new Promise((resolve, reject) => {
    let connected = false;
    let secure = false;
    const request = begin(options);
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', abort);
      settle();
      // Whatever is still to come of the answer is not wanted, and the connection serves nobody else.
      request.destroy();
    };
    const fail = (error: unknown): void => end(() => reject(error));
    const abort = (): void => fail(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    request.on('error', (error: Error & { code?: string }) => {
      const early: FetchFault = connected ? 'fetch_untrusted' : 'fetch_unreachable';
      fail(
        secure ? whileAnswering(url, error) : new FetchError(early, `${url.host}: ${error.message}`, error),
      );
    });
    request.on('socket', (socket) => {
      let bytes = 0;
      socket.on('data', (data) => {
        bytes += data.length;
        if (bytes > 4 * options.bytesMax + FRAMING_BYTES_MAX)
          fail(new FetchError('fetch_too_large', `${url.host}: ${bytes} bytes on the connection`));
      });
      socket.once('connect', () => {
        connected = true;
      });
      socket.once('secureConnect', () => {
        secure = true;
        options.onSecure();
      });
    });
    let interim = 0;
    request.on('information', () => {
      interim += 1;
      if (interim > INTERIM_ANSWERS_MAX)
        fail(new FetchError('fetch_bad_answer', `${url.host}: too many 1xx`));
    });
    request.on('upgrade', () => fail(new FetchError('fetch_status', `${url.host} answered 101`)));
    request.on('response', (response) => {
      read(response, options).then((fetched) => end(() => resolve(fetched)), fail);
    });
    request.end();
    if (signal.aborted) abort();
  });
}

function begin({ url, addresses, mediaTypes, etag, ca }: GetOptions): ClientRequest {
  const pinned = addresses.map((address) => ({ address, family: isIP(address) }));
  const lookup: LookupFunction = (_host, { all }, callback) => {
    const [first] = pinned;
    if (all === true) callback(null, pinned);
    else callback(null, first?.address ?? '', first?.family);
  };
  return httpsRequest({
    host: url.hostname,
    port: url.port === '' ? 443 : Number(url.port),
    path: url.pathname,
    method: 'GET',
    headers: {
      accept: mediaTypes.join(', '),
      // RFC 9110, section 12.5.3: nothing that would have to be unpacked.
      'accept-encoding': 'identity',
      'user-agent': 'sage-gateway',
      ...(etag === null ? {} : { 'if-none-match': etag }),
    },
    agent: false,
    lookup,
    servername: url.hostname,
    minVersion: 'TLSv1.2',
    // Said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED cannot unsay it.
    rejectUnauthorized: true,
    insecureHTTPParser: false,
    maxHeaderSize: HEADER_BYTES_MAX,
    ...(ca === null ? {} : { ca }),
  });
}

function whileAnswering(url: URL, error: Error & { code?: string }): FetchError {
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    return new FetchError(
      'fetch_too_large',
      `${url.host}: header section of more than ${HEADER_BYTES_MAX} bytes`,
    );
  }
  return new FetchError('fetch_bad_answer', `${url.host}: ${error.message}`, error);
}

async function read(response: IncomingMessage, options: GetOptions): Promise<Fetched> {
  const { url, mediaTypes, bytesMax } = options;
  const { statusCode = 0, headers } = response;
  if (statusCode === 404 || statusCode === 410) return { kind: 'absent' };
  if (statusCode === 304 && options.etag !== null) return { kind: 'unchanged', maxAgeMs: maxAgeMs(headers) };
  if (statusCode >= 300 && statusCode <= 399)
    throw new FetchError('fetch_redirected', `${url.host} answered ${statusCode}`);
  // A body beside an error status is nobody's document; neither is a part of one.
  if (statusCode !== 200) throw new FetchError('fetch_status', `${url.host} answered ${statusCode}`);
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new FetchError('fetch_encoded', `${url.host} sent content-encoding ${encoding.slice(0, 32)}`);
  if (!isOfType(headers['content-type'] ?? '', mediaTypes))
    throw new FetchError('fetch_media_type', `${url.host} sent ${headers['content-type']?.slice(0, 64)}`);
  // A body without either ends where its connection does. Whoever stands between could cut it short, a log at the end of a
  // line even, and Node does not tell a TLS connection that was closed from one that was cut (RFC 9112, section 9.8).
  if (headers['content-length'] === undefined && headers['transfer-encoding']?.toLowerCase() !== 'chunked')
    throw new FetchError('fetch_bad_answer', `${url.host} does not say where its answer ends`);
  // What it says of its length only saves us the reading: what counts is what comes.
  const tooLarge = (): FetchError =>
    new FetchError('fetch_too_large', `${url.host} sent over ${bytesMax} bytes`);
  if (Number(headers['content-length'] ?? 0) > bytesMax) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof FetchError ? error : whileAnswering(url, error as Error);
  }
  const etag = headers.etag ?? '';
  return {
    kind: 'body',
    bytes: Buffer.concat(chunks, bytes),
    etag: etag.length <= ETAG_CHARS_MAX && ETAG.test(etag) ? etag : null,
    maxAgeMs: maxAgeMs(headers),
  };
}

/** RFC 9110, section 8.3: type and subtype in any case; of parameters only a charset matters, and it must be UTF-8. */
function isOfType(contentType: string, mediaTypes: readonly string[]): boolean {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';');
  if (!mediaTypes.includes(type.trim())) return false;
  return parameters.every((parameter) => {
    const [name = '', value = ''] = parameter.split('=');
    return name.trim() !== 'charset' || /^"?utf-?8"?$/.test(value.trim());
  });
}

/** RFC 9111, sections 4.2 and 5.2.2, as far as it shortens: what forbids storing or reuse is an age of 0. */
function maxAgeMs(headers: IncomingMessage['headers']): number | null {
  const directives = (headers['cache-control'] ?? '').toLowerCase().split(',');
  let seconds: number | null = null;
  for (const directive of directives) {
    const [name = '', value = ''] = directive.trim().split('=');
    if (name === 'no-store' || name === 'no-cache') return 0;
    const digits = /^"?([0-9]{1,10})"?$/.exec(value)?.[1];
    if (name === 'max-age' && digits !== undefined) seconds = Number(digits);
  }
  if (seconds === null) return null;
  const age = /^[0-9]{1,10}$/.test(headers.age ?? '') ? Number(headers.age) : 0;
  return 1_000 * Math.max(0, seconds - age);
}
