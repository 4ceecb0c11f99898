/** Signs requests as RFC 9421 says, covering what a Sage Gateway asks for. */
import type { Bytes } from '../trust/wire/bytes.ts';
import { WireError } from '../trust/wire/errors.ts';
import { type PreparedSignature, prepareSignature } from '../trust/wire/sign.ts';
import { usualCover } from '../trust/wire/usual-cover.ts';
import { readRequestBody } from './body.ts';
import { contentDigest } from './digest.ts';
import { RequestRefused, SdkError } from './errors.ts';
import { type HeadersInput, pairsOf } from './headers.ts';
import { isRequest } from './incoming.ts';
import { newNonce, type Signer } from './signer.ts';

/** A request before it is sent, for clients that are not `fetch`. */
export interface RequestToSign {
  /** Upper case; GET when left out. */
  readonly method?: string;
  /** Absolute, `http:` or `https:`, or `ws:` or `wss:` for the request that opens a WebSocket. A fragment is not signed. */
  readonly url: string | URL;
  /** What is sent; fields that the client adds later are not covered. */
  readonly headers?: HeadersInput;
  readonly body?: string | Uint8Array | ArrayBuffer | null | undefined;
}

export interface SignedRequest {
  readonly method: string;
  readonly url: string;
  /** All of them, in lower case, with `content-digest`, `signature-input` and `signature`. */
  readonly headers: [name: string, value: string][];
  readonly body: Uint8Array<ArrayBuffer> | null;
}

export interface SignOptions {
  /** Further fields or components to cover, such as `x-tenant` or `"@query-param";name="id"`. */
  readonly cover?: readonly string[];
  /** Seconds from `created` until the signature expires by itself; left out, the verifier's own bound holds. */
  readonly expiresInSeconds?: number;
  /** Unique for each request; 128 random bits when left out. */
  readonly nonce?: string;
  /** Milliseconds since the epoch; `Date.now` when left out. */
  readonly now?: () => number;
  /** The name of the signature in its two fields. */
  readonly label?: string;
  /** The tag of an application's profile (RFC 9421, section 2.3). A Sage Gateway takes signatures without one. */
  readonly tag?: string;
  /** Of a body that is a stream: it has to be held to be hashed. 16 MiB when left out. */
  readonly maxBodyBytes?: number;
}

/** What this signature replaces: a request that is signed anew must not carry the old one. */
const REPLACED: ReadonlySet<string> = new Set(['signature', 'signature-input']);

const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** One's own stream is waited for: whoever made it knows how long it takes. The longest a timer can be set to. */
const NO_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Signs a request. A `Request` comes back as a new one, ready for `fetch`, its body held in memory; parts come back as
 * parts, which `fetch(signed.url, signed)` takes as well.
 * @throws {SdkError} url_invalid, request_unsignable, body_unsignable, body_too_large_to_sign, webcrypto_missing
 */
export function signRequest(request: Request, signer: Signer, options?: SignOptions): Promise<Request>;
export function signRequest(
  request: RequestToSign,
  signer: Signer,
  options?: SignOptions,
): Promise<SignedRequest>;
export async function signRequest(
  request: Request | RequestToSign,
  signer: Signer,
  options: SignOptions = {},
): Promise<Request | SignedRequest> {
  if (!isRequest(request)) return signParts(request, signer, options);
  const { method, url, headers } = request;
  const body = await bytesToSign(request, options.maxBodyBytes);
  const signed = await signParts({ method, url, headers, body }, signer, options);
  const sent = { headers: signed.headers, ...(body === null ? {} : { body }) };
  // A body that is given stands for the one that was read.
  if (signed.url === url.split('#', 1)[0]) return new Request(request, sent);
  const { redirect, signal } = request;
  return new Request(signed.url, { ...keptOf(request), method: signed.method, redirect, signal, ...sent });
}

/** Of a `Request` that is given, beside what is signed. Streams, signals and the method go their own ways. */
const KEPT = [
  'cache',
  'credentials',
  'integrity',
  'keepalive',
  'mode',
  'referrer',
  'referrerPolicy',
] as const;
/** What else a `Request` says of how it is to be sent. */
export function keptOf(request: Request): RequestInit {
  const members: Record<string, unknown> = {};
  // Not every platform has them all.
  for (const name of KEPT) if (request[name] !== undefined) members[name] = request[name];
  return members;
}

/** The bytes of a body that may still be a stream. @throws {SdkError} body_too_large_to_sign, body_unsignable */
export async function bytesToSign(request: Request, maxBytes = MAX_BODY_BYTES): Promise<Bytes | null> {
  const budget = { totalBytes: Number.POSITIVE_INFINITY, heldBytes: 0 };
  try {
    return await readRequestBody(request, {
      maxBytes,
      timeoutMs: NO_TIMEOUT_MS,
      budget,
      signal: request.signal,
    });
  } catch (error) {
    request.signal.throwIfAborted();
    if (!(error instanceof RequestRefused)) throw new SdkError('body_unsignable', undefined, error);
    if (error.code === 'body_too_large') throw new SdkError('body_too_large_to_sign', `${maxBytes} bytes`);
    throw new SdkError('body_unsignable', 'its stream failed', error.cause);
  }
}

async function signParts(
  request: RequestToSign,
  signer: Signer,
  options: SignOptions,
): Promise<SignedRequest> {
  const url = absoluteUrl(request.url);
  // Some clients send a question mark that nothing follows, some do not: without it both send the same.
  if (url.search === '') url.search = '';
  const method = methodOf(request.method ?? 'GET');
  const body = bodyBytes(request.body);
  const given = pairsOf(request.headers).filter(([name]) => !REPLACED.has(name));
  const hasBody = body !== null && body.length > 0;
  // Of an old body, perhaps; the one that is sent decides.
  const headers = hasBody ? given.filter(([name]) => name !== 'content-digest') : given;
  if (hasBody) headers.push(['content-digest', await contentDigest(body)]);
  const prepared = prepare({ method, url, headers }, signer, options);
  const { signatureInput, signature } = prepared.finish(await signer.sign(prepared.base));
  headers.push(['signature-input', signatureInput], ['signature', signature]);
  url.hash = '';
  return { method, url: url.href, headers, body };
}

function prepare(
  { method, url, headers }: { method: string; url: URL; headers: [string, string][] },
  signer: Signer,
  options: SignOptions,
): PreparedSignature {
  const sent = new Set(headers.map(([name]) => name));
  const usual = usualCover(sent);
  const further = (options.cover ?? []).filter((name) => !usual.includes(name));
  const created = Math.floor((options.now ?? Date.now)() / 1_000);
  const { expiresInSeconds, nonce = newNonce(), label = 'sig1', tag } = options;
  const params = {
    created,
    ...(expiresInSeconds === undefined ? {} : { expires: created + expiresInSeconds }),
    nonce,
    keyid: signer.keyId,
    alg: signer.algorithm,
    ...(tag === undefined ? {} : { tag }),
  };
  try {
    return prepareSignature(
      {
        method,
        scheme: SCHEMES[url.protocol] ?? '',
        authority: url.host,
        target: url.pathname + url.search,
        rawHeaders: headers.flat(),
      },
      { label, components: [...usual, ...further], params },
    );
  } catch (error) {
    if (error instanceof WireError) throw new SdkError('request_unsignable', error.message, error);
    throw error;
  }
}

/** As `fetch` sends it: it puts six methods in upper case, and gateways take no other. @throws {SdkError} request_unsignable */
function methodOf(method: string): string {
  const sent = /^(?:delete|get|head|options|post|put)$/i.test(method) ? method.toUpperCase() : method;
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Z]+$/.test(sent))
    throw new SdkError('request_unsignable', 'the method is not in upper case');
  return sent;
}

/** A WebSocket is opened by an HTTP request, so `wss:` is signed as `https:`. */
const SCHEMES: Readonly<Record<string, string>> = {
  'http:': 'http',
  'https:': 'https',
  'ws:': 'http',
  'wss:': 'https',
};

function absoluteUrl(url: string | URL): URL {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (error) {
    throw new SdkError('url_invalid', undefined, error);
  }
  if (SCHEMES[parsed.protocol] === undefined) throw new SdkError('url_invalid');
  // `fetch` refuses them too, and they are no part of what is sent.
  if (parsed.username !== '' || parsed.password !== '')
    throw new SdkError('url_invalid', 'without user name and password');
  return parsed;
}

/** @throws {SdkError} body_unsignable */
function bodyBytes(body: RequestToSign['body']): Bytes | null {
  if (body === undefined || body === null) return null;
  if (typeof body === 'string') return new TextEncoder().encode(body);
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) return Uint8Array.from(body);
  throw new SdkError('body_unsignable', 'give a string, a Uint8Array or an ArrayBuffer');
}
