/**
 * Where the documents of DIDs on a chain come from when memory has none: the shared tier, then the chain. Concurrent
 * misses of one DID share one flight; a flight whose DID is purged while it is under way starts over, so what it
 * brings is never older than the last purge.
 */

import type { SharedKeyCache } from '../../store/redis/key-cache.ts';
import type { Branches } from './branches.ts';
import { type ChainDocument, documentOf } from './document.ts';
import { DidError } from './errors.ts';
import type { ChainKeys, ChainReader, ChainSubject, ResolverLog } from './ports.ts';
import { openDocument, sealDocument } from './sealed.ts';
import type { Tombstones } from './tombstones.ts';
import type { Withdrawals } from './withdrawals.ts';

/** Resolutions under way at once, for the whole process; past it a miss fails at once rather than queue. */
const FLIGHTS_MAX = 512;
/** Reads of the chain at once: an RPC provider's budget, which strangers can make us spend, is not boundless. */
export const CHAIN_READS_MAX = 64;
/** Of these for whoever has proven himself before: naming agents must not keep known callers from being read again. */
export const CHAIN_READS_KNOWN = 16;
/** A caller has waited long enough for a head of a chain by then. */
const CHAIN_READ_TIMEOUT_MS = 3_000;
/** Questions to the database at once, and how long each is waited for; past either the chain is asked instead. */
const LOOK_UPS_MAX = 64;
const LOOK_UP_TIMEOUT_MS = 250;
/** A DID that is purged during this many reads in a row is changing too fast to be answered for. */
const READS_PER_FLIGHT_MAX = 4;

export interface Loaded {
  readonly document: ChainDocument;
  readonly tier: 'redis' | 'chain';
  /** The purge counter when the reading began; nothing has purged the DID since, as of delivery. */
  readonly epoch: number;
}

export interface ChainDocumentsOptions {
  readonly chain: ChainReader;
  readonly shared: SharedKeyCache | null;
  readonly secret: Uint8Array;
  /** Undefined: nothing is kept beyond this process. */
  readonly tombstones: Pick<Tombstones, 'find'> | undefined;
  readonly withdrawals: Withdrawals;
  readonly branches: Pick<Branches, 'isOther'>;
  readonly now: () => number;
  readonly log: ResolverLog;
  /** How long a document read at this moment may be used, in milliseconds. */
  readonly ttlMs: (chainId: number) => number;
}

export class ChainDocuments {
  readonly #options: ChainDocumentsOptions;
  readonly #flights = new Map<string, Promise<Loaded>>();
  #chainReads = 0;
  #lookUps = 0;
  #forged = 0;
  #outdated = 0;

  constructor(options: ChainDocumentsOptions) {
    this.#options = options;
  }

  /**
   * @param mayShare whether the shared tier may answer.
   * @param known whether a key of the DID has verified a request before
   * @throws DidError did_unresolvable
   */
  load(did: string, subject: ChainSubject, mayShare: boolean, known: boolean): Promise<Loaded> {
    const flying = this.#flights.get(did);
    if (flying !== undefined) return flying;
    if (this.#flights.size >= FLIGHTS_MAX) {
      return Promise.reject(new DidError('did_unresolvable', `${FLIGHTS_MAX} resolutions are under way`));
    }
    const flight = this.#fly(did, subject, mayShare, known).finally(() => this.#flights.delete(did));
    this.#flights.set(did, flight);
    return flight;
  }

  /** Whether the DID is being read now, so that asking for it costs nothing more. */
  isFlying(did: string): boolean {
    return this.#flights.has(did);
  }

  counts(): { flights: number; chainReads: number; forged: number; outdated: number } {
    return {
      flights: this.#flights.size,
      chainReads: this.#chainReads,
      forged: this.#forged,
      outdated: this.#outdated,
    };
  }

  async #fly(did: string, subject: ChainSubject, mayShare: boolean, known: boolean): Promise<Loaded> {
    const { withdrawals } = this.#options;
    for (let reads = 0; reads < READS_PER_FLIGHT_MAX; reads += 1) {
      const epoch = withdrawals.epoch;
      const shared = mayShare ? await this.#fromShared(did, subject, epoch) : null;
      const loaded = shared ?? (await this.#fromChain(did, subject, epoch, known));
      if (loaded !== null && !withdrawals.withdrawnSince(did, epoch)) {
        if (loaded.tier === 'chain' && loaded.document.exists) this.#writeBack(did, subject, loaded);
        return loaded;
      }
    }
    throw new DidError('did_unresolvable', 'the keys of the DID are changing too fast');
  }

  async #fromShared(did: string, subject: ChainSubject, epoch: number): Promise<Loaded | null> {
    const { shared, secret, withdrawals, branches, now, ttlMs, log } = this.#options;
    const floor = withdrawals.sharedFloor(did, subject.chainId);
    if (shared === null || floor === Number.POSITIVE_INFINITY) return null;
    let text: string | null;
    try {
      text = await shared.get(sharedKey(did));
    } catch {
      // Its own room reports that it is down; the chain answers instead.
      return null;
    }
    if (text === null) return null;
    const document = openDocument(secret, did, text);
    if (document === null) {
      this.#forged += 1;
      // Powers of two: whoever can write into Redis must not be able to fill the log as well.
      if ((this.#forged & (this.#forged - 1)) === 0) {
        log.warn({ did, forged: this.#forged }, 'a value in the shared key cache is not ours: ignored');
      }
      return null;
    }
    const isOther = branches.isOther(subject.chainId, document);
    if (document.blockNumber < floor || isOther || now() - document.readAtMs >= ttlMs(subject.chainId)) {
      this.#outdated += 1;
      return null;
    }
    return (await this.#outlived(did, subject.chainId, document)) ? null : { document, tier: 'redis', epoch };
  }

  /**
   * Whether something was taken away since the document was read, as far as any node has told the database: this one may
   * have forgotten it, or not have heard yet. What cannot be asked is not taken for a no.
   */
  async #outlived(did: string, chainId: number, document: ChainDocument): Promise<boolean> {
    const { tombstones } = this.#options;
    if (tombstones === undefined) return false;
    if (this.#lookUps >= LOOK_UPS_MAX) return true;
    this.#lookUps += 1;
    const looking = tombstones.find(chainId, did).finally(() => {
      this.#lookUps -= 1;
    });
    let last: Awaited<ReturnType<Tombstones['find']>>;
    try {
      last = await within(looking, LOOK_UP_TIMEOUT_MS);
    } catch {
      // The database tells of its own failures.
      return true;
    }
    if (last === null) return false;
    const { blockNumber, blockHash } = last;
    const isOtherBranch = blockHash !== '' && document.blockHash !== blockHash;
    const outlived =
      document.blockNumber < blockNumber || (document.blockNumber === blockNumber && isOtherBranch);
    if (outlived) this.#outdated += 1;
    return outlived;
  }

  /** Null when the DID was purged meanwhile: what the chain said then counts for nothing, a refusal included. */
  async #fromChain(
    did: string,
    subject: ChainSubject,
    epoch: number,
    known: boolean,
  ): Promise<Loaded | null> {
    const { withdrawals, now } = this.#options;
    const readsMax = known ? CHAIN_READS_MAX : CHAIN_READS_MAX - CHAIN_READS_KNOWN;
    if (this.#chainReads >= readsMax) {
      throw new DidError('did_unresolvable', `${readsMax} reads of the chain are under way`);
    }
    const readAtMs = now();
    let answer: ChainKeys;
    try {
      answer = await within(this.#readChain(subject), CHAIN_READ_TIMEOUT_MS);
    } catch (error) {
      throw new DidError('did_unresolvable', 'the chain could not be asked', error);
    }
    if (withdrawals.withdrawnSince(did, epoch)) return null;
    // A node behind the one that told of the change would give the revoked key back.
    const floor = withdrawals.chainFloor(did, subject.chainId);
    if (answer.blockNumber < floor) {
      throw new DidError(
        'did_unresolvable',
        `the RPC node is at block ${answer.blockNumber}, and ${floor} is known`,
      );
    }
    withdrawals.sawBlock(subject.chainId, answer.blockNumber);
    return { document: documentOf(answer, readAtMs), tier: 'chain', epoch };
  }

  /** Counts the read until it settles, also when nobody waits for it any longer: it still burdens the provider. */
  async #readChain(subject: ChainSubject): Promise<ChainKeys> {
    this.#chainReads += 1;
    try {
      return await this.#options.chain.readKeys(subject);
    } finally {
      this.#chainReads -= 1;
    }
  }

  #writeBack(did: string, subject: ChainSubject, { document, epoch }: Loaded): void {
    const { shared, secret, withdrawals, branches, ttlMs } = this.#options;
    if (shared === null || branches.isOther(subject.chainId, document)) return;
    shared
      .set(sharedKey(did), sealDocument(secret, did, document), ttlMs(subject.chainId))
      .then(async () => {
        // The purge may have gone by while the value was on its way: then it removed nothing, and we do.
        if (withdrawals.withdrawnSince(did, epoch)) await shared.delete([sharedKey(did)]);
      })
      // A value that could not be written is read from the chain again; a value that could not be removed is older
      // than the purge's block, and so refused by every node that heard of it.
      .catch(() => undefined);
  }
}

/** Where the shared tier keeps a DID's document. */
export function sharedKey(did: string): string {
  return `did:${did}`;
}

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
