/**
 * A `fetch` that signs. One call sends one request with one nonce: nothing is sent a second time behind the caller's
 * back, because a second request with the same signature is a replay, and with another one it is another request.
 */
import { SdkError } from './errors.ts';
import { bytesToSign, keptOf, type SignOptions, signRequest } from './sign.ts';
import type { Signer } from './signer.ts';

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

export interface SignedFetchOptions extends Omit<SignOptions, 'nonce'> {
  /** What sends; the platform's `fetch` when left out. */
  readonly fetch?: Fetch;
}

/** Enough for any API; browsers stop at 20. */
const REDIRECTS_MAX = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** They say something of a body that a redirect took away. */
const OF_A_BODY: ReadonlySet<string> = new Set([
  'content-type',
  'content-digest',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
]);

/** One request of a call: the first, or one that a redirect led to. */
interface Hop {
  readonly url: string;
  readonly method: string;
  readonly headers: [string, string][];
  readonly body: Uint8Array<ArrayBuffer> | null;
}

/**
 * A `fetch` whose requests are signed by `signer`. A body is held in memory, because its digest goes before it.
 *
 * Redirects: to the same origin they are followed, signed anew for where they lead, five at most; to another origin
 * `redirect_refused` is thrown. With `redirect: 'manual'` the redirect is what you get. A browser hides where a
 * redirect leads, so there it is `redirect_unreadable`. Refusals and failures are never retried.
 * @throws {SdkError} as `signRequest` does, and redirect_refused, redirect_unreadable, redirects_too_many
 * @throws whatever `fetch` throws, when the server cannot be reached
 */
export function signedFetch(signer: Signer, options: SignedFetchOptions = {}): Fetch {
  const { fetch: send = globalThis.fetch, ...signing } = options;
  return async (input, init = {}) => {
    const request = new Request(input, whole(init));
    const kept = input instanceof Request ? keptOf(input) : {};
    const base: RequestInit = { ...kept, ...init, signal: request.signal, redirect: 'manual' };
    const redirect = init.redirect ?? (input instanceof Request ? input.redirect : 'follow');
    let hop = await firstHop(request, signing.maxBodyBytes);
    for (let redirects = 0; ; redirects += 1) {
      const { url, method, headers, body } = await signRequest(hop, signer, signing);
      const response = await send(url, { ...base, method, headers, body });
      // Where a redirect cannot be read, there is no status either.
      if (response.status === 0) {
        if (redirect === 'manual') return response;
        throw new SdkError('redirect_unreadable');
      }
      const location = REDIRECTS.has(response.status) ? response.headers.get('location') : null;
      if (location === null || redirect === 'manual') return response;
      await response.body?.cancel();
      hop = nextHop(hop, location, response.status, redirect, redirects);
    }
  };
}

/** Platforms ask for `duplex` with a stream, which says nothing here: the stream is read before anything is sent. */
function whole(init: RequestInit): RequestInit {
  if (!(init.body instanceof ReadableStream)) return init;
  const withDuplex: RequestInit & { readonly duplex: 'half' } = { ...init, duplex: 'half' };
  return withDuplex;
}

async function firstHop(request: Request, maxBodyBytes: number | undefined): Promise<Hop> {
  const body = await bytesToSign(request, maxBodyBytes);
  return { url: request.url, method: request.method, headers: [...request.headers], body };
}

/** Where a redirect leads, by the rules of Fetch (section 4.4). */
function nextHop(
  hop: Hop,
  location: string,
  status: number,
  redirect: Request['redirect'],
  redirects: number,
): Hop {
  const to = URL.canParse(location, hop.url) ? new URL(location, hop.url) : null;
  const from = new URL(hop.url);
  // The signature, and what `authorization` holds, are for the one origin they were made for.
  if (redirect === 'error' || to === null || to.origin !== from.origin)
    throw new SdkError('redirect_refused', to?.origin ?? 'Location is no URL');
  if (redirects >= REDIRECTS_MAX) throw new SdkError('redirects_too_many');
  const becomesGet =
    (status === 303 && hop.method !== 'GET' && hop.method !== 'HEAD') ||
    ((status === 301 || status === 302) && hop.method === 'POST');
  if (!becomesGet) return { ...hop, url: to.href };
  const headers = hop.headers.filter(([name]) => !OF_A_BODY.has(name));
  return { url: to.href, method: 'GET', headers, body: null };
}
