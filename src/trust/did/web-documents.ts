/**
 * Where the documents of did:web and did:webvh come from: their hosts. Concurrent misses of one DID share one flight; a
 * flight whose DID is purged while it is under way starts over, so what it brings is never older than the last purge.
 */
import { FetchError } from '../fetch/errors.ts';
import type { Fetched, Fetcher } from '../fetch/fetcher.ts';
import { parseJsonObject } from '../fetch/json.ts';
import type { DidDocument } from './document.ts';
import { DidError } from './errors.ts';
import { publishedKeys } from './published-document.ts';
import { type WebName, webUrl } from './web-name.ts';
import { checkWitnesses, type History, readHistory } from './webvh-log.ts';
import type { Withdrawals } from './withdrawals.ts';

/** W3C DID 1.0, section 6, and what servers call JSON files. */
const DOCUMENT_TYPES = [
  'application/did+json',
  'application/did+ld+json',
  'application/did',
  'application/ld+json',
  'application/json',
];
/** Logs prove themselves, and servers know no type for them: what they call unknown and text files will do. */
const LOG_TYPES = [
  'text/jsonl',
  'application/jsonl',
  'application/x-ndjson',
  'application/json',
  'application/octet-stream',
  'text/plain',
];
/** Of a log, and of its witnesses' file: an entry takes one or two KB, and the log grows with each change of a key. */
const LOG_BYTES_MAX = 262_144;
/** Resolutions under way at once, for the whole process; past it a miss fails at once rather than queue. */
const FLIGHTS_MAX = 512;
/** A DID that is purged during this many reads in a row is changing too fast to be answered for. */
const READS_PER_FLIGHT_MAX = 4;

/** A document with what it takes to ask its host whether it still stands. */
export interface WebDocument extends DidDocument {
  readonly etag: string | null;
  /** How long the host wishes it to be kept; null when it does not say. */
  readonly maxAgeMs: number | null;
  /** About what it takes in memory. */
  readonly bytes: number;
  /** The newest version of a did:webvh, which every later log must have in it; null for did:web. */
  readonly version: string | null;
}

export interface WebLoaded {
  readonly document: WebDocument;
  /** The purge counter when the reading began; nothing has purged the DID since, as of delivery. */
  readonly epoch: number;
}

export interface WebDocumentsOptions {
  readonly fetcher: Fetcher;
  readonly withdrawals: Withdrawals;
  readonly now: () => number;
}

/** Of "there is no such document". */
const ABSENT_BYTES = 64;

export class WebDocuments {
  readonly #options: WebDocumentsOptions;
  readonly #flights = new Map<string, Promise<WebLoaded>>();

  constructor(options: WebDocumentsOptions) {
    this.#options = options;
  }

  get flights(): number {
    return this.#flights.size;
  }

  /**
   * @param held what may still stand, when its host says so
   * @throws DidError did_unresolvable
   */
  load(did: string, site: WebName, held: WebDocument | null): Promise<WebLoaded> {
    const flying = this.#flights.get(did);
    if (flying !== undefined) return flying;
    if (this.#flights.size >= FLIGHTS_MAX) {
      return Promise.reject(new DidError('did_unresolvable', `${FLIGHTS_MAX} resolutions are under way`));
    }
    const flight = this.#fly(did, site, held).finally(() => this.#flights.delete(did));
    this.#flights.set(did, flight);
    return flight;
  }

  async #fly(did: string, site: WebName, held: WebDocument | null): Promise<WebLoaded> {
    const { withdrawals } = this.#options;
    let known = held;
    for (let reads = 0; reads < READS_PER_FLIGHT_MAX; reads += 1) {
      const epoch = withdrawals.epoch;
      const document = await this.#read(did, site, known);
      if (!withdrawals.withdrawnSince(did, epoch)) return { document, epoch };
      // Who purged it wants it read, not confirmed.
      known = known === null ? null : { ...known, etag: null };
    }
    throw new DidError('did_unresolvable', 'the keys of the DID are changing too fast');
  }

  async #read(did: string, site: WebName, held: WebDocument | null): Promise<WebDocument> {
    // From before the question: what the host changed while it answered is not known to be in the answer.
    const readAtMs = this.#options.now();
    try {
      return site.scid === null
        ? await this.#readPlain(did, site, held, readAtMs)
        : await this.#readLog(did, site, site.scid, held, readAtMs);
    } catch (error) {
      if (error instanceof DidError) throw error;
      // Why exactly is for the log: it may tell what the names of an inner network lead to.
      if (error instanceof FetchError) {
        throw new DidError('did_unresolvable', `no usable document came from ${site.host}`, error);
      }
      throw error;
    }
  }

  async #readPlain(
    did: string,
    site: WebName,
    held: WebDocument | null,
    readAtMs: number,
  ): Promise<WebDocument> {
    const fetched = await this.#options.fetcher.fetch({
      url: webUrl(site, 'did.json'),
      mediaTypes: DOCUMENT_TYPES,
      etag: held?.etag ?? null,
    });
    if (fetched.kind !== 'body') return withoutBody(fetched, held, readAtMs);
    const { etag, maxAgeMs, bytes } = fetched;
    const keys = publishedKeys(parseJsonObject(bytes), did);
    return { exists: true, keys, readAtMs, maxAgeMs, etag, bytes: bytes.length, version: null };
  }

  async #readLog(
    did: string,
    site: WebName,
    scid: string,
    held: WebDocument | null,
    readAtMs: number,
  ): Promise<WebDocument> {
    const fetched = await this.#options.fetcher.fetch({
      url: webUrl(site, 'did.jsonl'),
      mediaTypes: LOG_TYPES,
      bytesMax: LOG_BYTES_MAX,
      etag: held?.etag ?? null,
    });
    if (fetched.kind !== 'body') return withoutBody(fetched, held, readAtMs);
    const { etag, bytes } = fetched;
    const history = await readHistory(bytes, scid, readAtMs);
    // A log only grows. One that lost what we have seen would give back keys that were revoked since.
    if (typeof held?.version === 'string' && !history.versions.has(held.version)) {
      throw new DidError('did_unresolvable', `the log of the DID has lost its version ${held.version}`);
    }
    await this.#askWitnesses(site, history, readAtMs);
    const keys = history.deactivated ? [] : publishedKeys(history.state, did);
    const wishes = [fetched.maxAgeMs, history.ttl === null ? null : 1_000 * history.ttl];
    const ages = wishes.filter((age) => age !== null);
    const maxAgeMs = ages.length === 0 ? null : Math.min(...ages);
    const size = JSON.stringify(history.state).length;
    return { exists: true, keys, readAtMs, maxAgeMs, etag, bytes: size, version: history.newest };
  }

  async #askWitnesses(site: WebName, history: History, nowMs: number): Promise<void> {
    if (history.duties.length === 0) return;
    const url = webUrl(site, 'did-witness.json');
    const fetched = await this.#options.fetcher.fetch({
      url,
      mediaTypes: LOG_TYPES,
      bytesMax: LOG_BYTES_MAX,
    });
    if (fetched.kind !== 'body')
      throw new DidError('did_unresolvable', 'the witnesses of the DID say nothing');
    await checkWitnesses(history, fetched.bytes, nowMs);
  }
}

function withoutBody(
  fetched: Exclude<Fetched, { readonly kind: 'body' }>,
  held: WebDocument | null,
  readAtMs: number,
): WebDocument {
  if (fetched.kind === 'absent') {
    // A log that comes back must still have in it what was seen of it.
    const version = held?.version ?? null;
    return { exists: false, keys: [], readAtMs, etag: null, maxAgeMs: null, bytes: ABSENT_BYTES, version };
  }
  if (held === null) throw new DidError('did_unresolvable', 'an answer to nothing that was asked');
  return { ...held, readAtMs, maxAgeMs: fetched.maxAgeMs };
}
