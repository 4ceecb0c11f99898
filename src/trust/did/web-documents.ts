/**
 * Documents on their way from hosts. Concurrent misses of one DID share one flight; a flight whose DID is purged while it
 * is under way starts over, so what it brings is never older than the last purge.
 */
import { FetchError } from '../fetch/errors.ts';
import type { Fetched } from '../fetch/fetcher.ts';
import type { DidDocument } from './document.ts';
import { DidError } from './errors.ts';
import type { WebName } from './web-name.ts';
import type { Withdrawals } from './withdrawals.ts';

/** Resolutions under way at once, for the whole process; past it a miss fails at once rather than queue. */
const FLIGHTS_MAX = 512;
/** A DID that is purged during this many reads in a row is changing too fast to be answered for. */
const READS_PER_FLIGHT_MAX = 4;

/** Of "there is no such document". */
const ABSENT_BYTES = 64;

/** A document with what it takes to ask its host whether it still stands. */
export interface WebDocument extends DidDocument {
  readonly etag: string | null;
  /** How long the host wishes it to be kept; null when it does not say. */
  readonly maxAgeMs: number | null;
  /** About what it takes in memory. */
  readonly bytes: number;
  /** The newest version of a did:webvh, which every later log must have in it; null for did:web. */
  readonly version: string | null;
  /** All that stands in it, where the question asked for that. */
  readonly published?: Readonly<Record<string, unknown>>;
  readonly deactivated?: boolean;
}

export interface WebLoaded {
  readonly document: WebDocument;
  /** The purge counter when the reading began; nothing has purged the DID since, as of delivery. */
  readonly epoch: number;
}

/** What is to be asked of a host. */
export interface Question {
  readonly did: string;
  readonly site: WebName;
  /** What may still stand, when the host says so. */
  readonly held: WebDocument | null;
  /** Whether a key of the DID has verified a request before. */
  readonly known: boolean;
  /** Whether all that stands in the document is wanted, beside its keys. */
  readonly whole?: boolean;
  /** Milliseconds since the epoch. */
  readonly readAtMs: number;
}

/** Asks a host once. @throws DidError did_unresolvable, FetchError */
export type DocumentReader = (question: Question) => Promise<WebDocument>;

export interface WebDocumentsOptions {
  readonly read: DocumentReader;
  readonly withdrawals: Withdrawals;
  readonly now: () => number;
}

export class WebDocuments {
  readonly #options: WebDocumentsOptions;
  readonly #flights = new Map<string, Promise<WebLoaded>>();

  constructor(options: WebDocumentsOptions) {
    this.#options = options;
  }

  get flights(): number {
    return this.#flights.size;
  }

  /** Whether the DID is being read now, so that asking for it costs nothing more. */
  isFlying(did: string): boolean {
    return this.#flights.has(did);
  }

  /** @throws DidError did_unresolvable */
  load(question: Omit<Question, 'readAtMs'>): Promise<WebLoaded> {
    const { did } = question;
    const flying = this.#flights.get(did);
    if (flying !== undefined) return flying;
    if (this.#flights.size >= FLIGHTS_MAX) {
      return Promise.reject(new DidError('did_unresolvable', `${FLIGHTS_MAX} resolutions are under way`));
    }
    const flight = this.#fly(question).finally(() => this.#flights.delete(did));
    this.#flights.set(did, flight);
    return flight;
  }

  /** The document as its host has it now, with all that stands in it; kept by nobody. @throws DidError did_unresolvable */
  describe(did: string, site: WebName, known: boolean): Promise<WebDocument> {
    const readAtMs = this.#options.now();
    return this.#read({ did, site, held: null, known, whole: true, readAtMs });
  }

  async #fly(question: Omit<Question, 'readAtMs'>): Promise<WebLoaded> {
    const { withdrawals, now } = this.#options;
    let { held } = question;
    for (let reads = 0; reads < READS_PER_FLIGHT_MAX; reads += 1) {
      const epoch = withdrawals.epoch;
      // The time before the question: what the host changed while it answered is not known to be in the answer.
      const document = await this.#read({ ...question, held, readAtMs: now() });
      if (!withdrawals.withdrawnSince(question.did, epoch)) return { document, epoch };
      // Who purged it wants it read, not confirmed.
      held = held === null ? null : { ...held, etag: null };
    }
    throw new DidError('did_unresolvable', 'the keys of the DID are changing too fast');
  }

  async #read(question: Question): Promise<WebDocument> {
    try {
      return await this.#options.read(question);
    } catch (error) {
      // Why exactly is for the log: it may tell what the names of an inner network lead to.
      if (error instanceof FetchError) {
        throw new DidError('did_unresolvable', `no usable document came from ${question.site.host}`, error);
      }
      throw error;
    }
  }
}

/** What an answer without a body says. @throws DidError did_unresolvable */
export function withoutBody(
  fetched: Exclude<Fetched, { readonly kind: 'body' }>,
  { held, readAtMs }: Question,
): WebDocument {
  if (fetched.kind === 'absent') {
    // A log that comes back must still have in it what was seen of it.
    const version = held?.version ?? null;
    return { exists: false, keys: [], readAtMs, etag: null, maxAgeMs: null, bytes: ABSENT_BYTES, version };
  }
  if (held === null) throw new DidError('did_unresolvable', 'an answer to nothing that was asked');
  return { ...held, readAtMs, maxAgeMs: fetched.maxAgeMs };
}
