/**
 * Fetches a document from a host that a stranger named, without being made to reach, read, wait or believe more than
 * was meant. Each rule is told where it is kept: names and addresses in `addresses.ts`, one request in `request.ts`, how
 * many and how often in `places.ts`, what fails again and again in `circuits.ts`, JSON in `json.ts`.
 */
import { channel } from 'node:diagnostics_channel';
import { isIP } from 'node:net';
import { addressesOf, type Lookup, lookupBy, lookupOnMachine } from './addresses.ts';
import { createCircuits } from './circuits.ts';
import { FetchError, type FetchFault } from './errors.ts';
import { createPlaces } from './places.ts';
import { type Fetched, get } from './request.ts';

export type { Fetched } from './request.ts';

/** Name, connection, TLS, header and body together: as long as a caller waits for a chain. */
const DEADLINE_MS = 3_000;
/** Of a body; a DID document with 64 keys takes about 20 KB. */
const BODY_BYTES_MAX = 65_536;
/** Hosts, and URLs, of which failures are remembered. */
const HOSTS_MAX = 2_048;

/** Published on `sage:fetch` for each fetch: an answer's kind, or why there was none. */
export interface FetchEvent {
  readonly outcome: Fetched['kind'] | FetchFault;
}

const fetches = channel('sage:fetch');

export interface FetcherOptions {
  /** ALLOW_PRIVATE_DID_HOSTS: addresses need not be public. TLS is asked for all the same. */
  readonly allowPrivateHosts: boolean;
  /** Milliseconds of a clock that only goes forward. */
  readonly monotonicNow: () => number;
  /** How names are resolved; the name servers of the machine when left out. */
  readonly lookup?: Lookup;
  /** PEM of the authorities to trust instead of the usual ones. */
  readonly ca?: string;
}

export interface FetchRequest {
  /** Made by us from an identifier; never a URL as a stranger wrote it. */
  readonly url: URL;
  /** Lower case, without parameters; the answer must be of one of them. */
  readonly mediaTypes: readonly string[];
  /** Of the body; 64 KiB when left out. */
  readonly bytesMax?: number;
  /** Whether it is about somebody who has proven himself before. */
  readonly known?: boolean;
  /** Of the answer held; then `unchanged` may be the answer. */
  readonly etag?: string | null;
}

export interface Fetcher {
  /** Asks once; whoever may ask the same at the same time shares the promise himself. @throws FetchError */
  fetch(request: FetchRequest): Promise<Fetched>;
  /** Fetches under way. */
  readonly underWay: number;
  /** Ends what is under way, and refuses the rest. */
  close(): void;
}

export function createFetcher(options: FetcherOptions): Fetcher {
  const { allowPrivateHosts, monotonicNow, ca = null } = options;
  const lookup = options.lookup ?? (allowPrivateHosts ? lookupOnMachine : lookupBy());
  const hosts = createCircuits(HOSTS_MAX, monotonicNow);
  const urls = createCircuits(HOSTS_MAX, monotonicNow);
  const places = createPlaces(monotonicNow);
  const closing = new AbortController();

  async function run(request: FetchRequest, signal: AbortSignal): Promise<Fetched> {
    const { url, mediaTypes, bytesMax = BODY_BYTES_MAX, etag = null } = request;
    let secure = false;
    try {
      const addresses = await settledBy(signal, addressesOf(url.hostname, lookup, allowPrivateHosts, signal));
      const fetched = await get({
        url,
        addresses,
        mediaTypes,
        bytesMax,
        etag,
        ca,
        signal,
        onSecure() {
          secure = true;
          hosts.succeeded(url.host);
        },
      });
      urls.succeeded(url.href);
      return fetched;
    } catch (error) {
      if (secure) urls.failed(url.href);
      else hosts.failed(url.host);
      throw error;
    }
  }

  async function admitted(request: FetchRequest): Promise<Fetched> {
    const { url, known = false } = request;
    checkUrl(url);
    if (closing.signal.aborted) throw new FetchError('fetch_closed', url.host);
    if (!hosts.mayAsk(url.host) || !urls.mayAsk(url.href))
      throw new FetchError('fetch_circuit_open', url.host);
    const leave = places.enter(url.host, known);
    const deadline = new AbortController();
    const late = (): void =>
      deadline.abort(new FetchError('fetch_timeout', `${url.host}: ${DEADLINE_MS} ms`));
    const stop = (): void => deadline.abort(new FetchError('fetch_closed', url.host));
    const timer = setTimeout(late, DEADLINE_MS);
    closing.signal.addEventListener('abort', stop, { once: true });
    try {
      return await run(request, deadline.signal);
    } finally {
      clearTimeout(timer);
      closing.signal.removeEventListener('abort', stop);
      leave();
    }
  }

  return {
    async fetch(request) {
      try {
        const fetched = await admitted(request);
        tell(fetched.kind);
        return fetched;
      } catch (error) {
        if (error instanceof FetchError) tell(error.code);
        throw error;
      }
    },
    get underWay() {
      return places.taken;
    },
    close() {
      closing.abort();
    },
  };
}

function tell(outcome: FetchEvent['outcome']): void {
  if (fetches.hasSubscribers) fetches.publish({ outcome } satisfies FetchEvent);
}

/** What `work` gives, unless the signal is first: a resolver need not listen to it. */
async function settledBy<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  const stop = (): void => stopped.reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work, stopped.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
    // Nobody waits for a name any more that comes too late.
    work.catch(() => undefined);
  }
}

/** What remains to be refused when an identifier's grammar let something through. */
function checkUrl(url: URL): void {
  const refused =
    url.protocol !== 'https:' ||
    url.username !== '' ||
    url.password !== '' ||
    url.search !== '' ||
    url.hash !== '' ||
    url.port === '0' ||
    url.hostname.startsWith('[') ||
    isIP(url.hostname) !== 0;
  if (refused) throw new FetchError('fetch_url_refused', url.host);
}
