/**
 * The class of methods whose keys stand on a chain: in memory, then in the tier the nodes share, then read anew. What
 * the watcher of a chain cannot see fails closed, whatever memory holds.
 */
import { LRUCache } from 'lru-cache';
import { Branches, type HashOf } from './branches.ts';
import { CHAIN_READS_MAX, ChainDocuments, type Loaded, sharedKey } from './chain-documents.ts';
import { type ParsedKeyId, parseKeyId } from './did-url.ts';
import { type ChainDocument, chooseKey } from './document.ts';
import { DidError } from './errors.ts';
import { type PurgeReason, tellHit, tellMiss, tellPurge } from './events.ts';
import { foundKey, renewedKey } from './found-key.ts';
import { frequencyHash } from './frequency.ts';
import type { ClassTools, DidDescription, KeyClass } from './key-class.ts';
import { isStillNamed } from './key-import.ts';
import { createKeyMemory, type KeyMemory, type ResolvedKey } from './key-memory.ts';
import type { ChainChange, ChainReader, ChainSubject } from './ports.ts';
import { type AheadOutcome, ReadAhead } from './read-ahead.ts';
import type { FindOptions, ResolverBounds, ResolverOptions } from './resolver.ts';
import { openPurge, type PurgeMessage, pointOf, sealPurge } from './sealed.ts';
import type { WatcherReport } from './staleness.ts';
import { isNamedByEvents, WatchedChains } from './watched-chains.ts';

/** Documents read ahead: of those who call often here, and of those who did before a restart. */
const AHEAD_MAX = 2_048;
/** The last part of a document's time, in which it is read again for those who call often. */
const AHEAD_SHARE = 1 / 5;
/** Reads of the chain under way above which nothing is read ahead: the rest is for callers. */
const AHEAD_READS_MAX = CHAIN_READS_MAX / 4;

interface Recent {
  readonly document: ChainDocument;
  readonly freshUntilMs: number;
  readonly untilMs: number;
}

export class ChainKeys implements KeyClass {
  readonly memory: KeyMemory;
  readonly #options: ResolverOptions;
  readonly #bounds: ResolverBounds;
  readonly #tools: ClassTools;
  readonly #recents: LRUCache<string, Recent>;
  /** What was read ahead, apart, so that strangers cannot push it out. Its keys are in memory once they have verified. */
  readonly #aheads = new LRUCache<string, Recent>({ max: AHEAD_MAX });
  readonly #readAhead: ReadAhead;
  readonly #chains: WatchedChains;
  readonly #documents: ChainDocuments;
  readonly #branches = new Branches();
  #forgedMessages = 0;

  constructor(
    options: ResolverOptions & { readonly chain: ChainReader },
    bounds: ResolverBounds,
    tools: ClassTools,
  ) {
    const { chain, now, log } = options;
    this.#options = options;
    this.#bounds = bounds;
    this.#tools = tools;
    const memory = createKeyMemory(bounds.chainEntries);
    this.memory = {
      ...memory,
      get size() {
        return memory.size;
      },
      admit: (resolved, epoch) => {
        memory.admit(resolved, epoch);
        this.#admitted(resolved);
      },
    };
    this.#recents = new LRUCache({ max: bounds.recentEntries });
    this.#chains = new WatchedChains(options, bounds);
    this.#documents = new ChainDocuments({
      chain,
      shared: options.shared,
      secret: options.sharedSecret,
      tombstones: options.tombstones,
      withdrawals: tools.withdrawals,
      branches: this.#branches,
      now,
      log,
      ttlMs: (chainId) => this.#chains.ttlMs(chainId),
    });
    this.#readAhead = new ReadAhead({
      read: (did) => this.#read(did),
      hasRoom: () => {
        const { flights, chainReads } = this.#documents.counts();
        return Math.max(flights, chainReads) < AHEAD_READS_MAX;
      },
      monotonicNow: options.monotonicNow,
    });
    options.shared?.onPurge((text) => this.#peerPurged(text));
  }

  find(keyId: ParsedKeyId, options: FindOptions): ResolvedKey | Promise<ResolvedKey> {
    const { withdrawals } = this.#tools;
    const subject = this.#chains.subjectOf(keyId.subject);
    if (subject === null) throw tellMiss('memory', 0, elsewhere(keyId));
    const nowMs = this.#options.now();
    const stale = this.#chains.staleness(subject.chainId, options.safeMethod);
    if (stale !== null) throw tellMiss('memory', 0, stale);
    const held = this.memory.find(keyId.did, keyId.fragment, withdrawals.epoch);
    if (held !== undefined && nowMs < held.freshUntilMs) {
      tellHit();
      return held;
    }
    const known = this.#known(keyId, nowMs);
    if (known !== undefined) {
      const { epoch } = withdrawals;
      return foundKey(keyId, { ...known, tier: 'memory', methodClass: 'chain', epoch, nowMs, ms: 0 });
    }
    if (!this.#documents.isFlying(keyId.did)) options.onCold?.();
    return this.#findRemote(keyId, subject, options.safeMethod, held !== undefined);
  }

  async describe(keyId: ParsedKeyId, known: boolean): Promise<DidDescription> {
    const subject = this.#chains.subjectOf(keyId.subject);
    if (subject === null) throw elsewhere(keyId);
    const { document } = await this.#documents.load(keyId.did, subject, false, known);
    const stale = this.#chains.staleness(subject.chainId, true);
    if (stale !== null) throw stale;
    const { exists, deactivated, keys, blockNumber, blockHash } = document;
    return {
      did: keyId.did,
      exists,
      deactivated,
      keys,
      published: null,
      chain: { id: subject.chainId, blockNumber, blockHash },
    };
  }

  /** While nobody sees the chain no revocation is heard: what is open then is asked about, and told that nobody can say. */
  async recheck({ did, subject: name }: ParsedKeyId): Promise<void> {
    const subject = this.#chains.subjectOf(name);
    if (subject !== null && this.#chains.sight(subject.chainId) === 'lost') this.#tools.announce(did);
  }

  forget(did: string): void {
    this.memory.delete(did);
    this.#recents.delete(did);
    this.#aheads.delete(did);
  }

  /** After `Withdrawals.withdrawAll` or its like. */
  forgetAll(reason: PurgeReason, blockNumber: number | null): void {
    const oftenHere = this.memory.mostFrequent(AHEAD_MAX, this.#bounds.frequentMin);
    const ahead = Array.from(this.#aheads.keys());
    this.memory.clear();
    this.#recents.clear();
    this.#aheads.clear();
    tellPurge(null, reason, blockNumber);
    this.#tools.announce(null);
    for (const did of [...oftenHere, ...ahead]) this.#readAhead.ask(did, 'purge');
  }

  chainChanged(change: ChainChange): void {
    const { shared, sharedSecret } = this.#options;
    const { chainId, kind, blockNumber } = change;
    if (!this.#chains.has(chainId)) return;
    if (kind === 'reset') {
      // Each node's own watcher says so to its own node; what Redis holds is too old for this node from now on.
      this.#tools.withdrawals.withdrawChain(chainId, blockNumber);
      this.#bury(change);
      this.forgetAll('chain', blockNumber);
      return;
    }
    const { did, fragment = '', safe = false, blockHash } = change;
    const message: PurgeMessage = { chainId, did, kind, fragment, safe, blockNumber, blockHash };
    this.#tools.forget(did, pointOf(message), 'chain');
    this.#bury(change);
    if (shared !== null) {
      // In this order and without waiting: whoever hears of the purge must not find the old value any more. When
      // Redis cannot be told, the other nodes' own watchers and the block floors stand in, and losing the
      // subscription flushes them.
      shared.delete([sharedKey(did)]).catch(() => undefined);
      shared.publishPurge(sealPurge(sharedSecret, message)).catch(() => undefined);
    }
    this.#tools.announce(did);
    this.#purged(did);
  }

  /** Reads ahead the documents of those who called often before a restart, once the chain is followed. */
  warm(chainId: number, dids: readonly string[]): void {
    for (const did of dids)
      if (this.#subjectOf(did)?.chainId === chainId) this.#readAhead.ask(did, 'warm_up');
  }

  close(): void {
    this.#readAhead.close();
  }

  /** Remembers beyond a restart what was taken away. A new agent, or a key that now counts, takes nothing away. */
  #bury(change: ChainChange): void {
    const { shared, tombstones } = this.#options;
    const { withdrawals } = this.#tools;
    const { chainId, kind } = change;
    // Where nothing is shared there is nothing to hold against it.
    if (shared === null || tombstones === undefined) return;
    if (kind === 'reset') {
      tombstones.note({ chainId, did: '', blockNumber: withdrawals.wholeFloor(chainId), blockHash: '' });
      return;
    }
    if (kind === 'registered' || change.safe === true) return;
    const { did } = change;
    const blockNumber = withdrawals.ownFloor(did);
    const isOfChange = kind !== 'reorg' && blockNumber === change.blockNumber;
    tombstones.note({ chainId, did, blockNumber, blockHash: isOfChange ? change.blockHash : '' });
  }

  setStaleness(chainId: number, report: WatcherReport): void {
    this.#chains.report(chainId, report);
  }

  watchedFrom(chainId: number, blockNumber: number): void {
    if (!this.#chains.has(chainId)) return;
    this.#tools.withdrawals.watchedFrom(chainId, blockNumber);
    this.forgetAll('chain', blockNumber);
  }

  /** What was read on a branch that was dropped before it was followed is forgotten: no event tells of it. */
  followed(chainId: number, blockNumber: number, hashOf: HashOf): void {
    for (const did of this.#branches.followed(chainId, blockNumber, hashOf)) this.#unread(did);
  }

  #unread(did: string): void {
    this.#tools.forget(did, null, 'chain');
    this.#options.shared?.delete([sharedKey(did)]).catch(() => undefined);
    this.#tools.announce(did);
  }

  followedTo(chainId: number, blockNumber: number): void {
    if (this.#chains.has(chainId)) this.#tools.withdrawals.followedTo(chainId, blockNumber);
  }

  stats() {
    const { flights, chainReads, forged, outdated } = this.#documents.counts();
    return {
      chainKeys: this.memory.size,
      recentAnswers: this.#recents.size,
      flights,
      chainReads,
      forged: forged + this.#forgedMessages,
      outdated,
      sight: this.#chains.sights(),
    };
  }

  /** @param known whether a key of it has verified before; then strangers cannot take the place for its reading. */
  async #findRemote(
    keyId: ParsedKeyId,
    subject: ChainSubject,
    safeMethod: boolean,
    known: boolean,
  ): Promise<ResolvedKey> {
    const { now, monotonicNow } = this.#options;
    const startedAt = monotonicNow();
    let loaded: Loaded;
    try {
      const sight = this.#chains.sight(subject.chainId);
      const mayShare = isNamedByEvents(subject) && (sight === 'live' || sight === 'degraded');
      loaded = await this.#documents.load(keyId.did, subject, mayShare, known);
      if (loaded.tier === 'redis' && this.#isOldRefusal(loaded.document, keyId.fragment)) {
        loaded = await this.#documents.load(keyId.did, subject, false, known);
      }
    } catch (error) {
      throw tellMiss('chain', monotonicNow() - startedAt, error);
    }
    const nowMs = now();
    const ms = monotonicNow() - startedAt;
    // Time has passed: what was within bounds when the request asked may not be now.
    const stale = this.#chains.staleness(subject.chainId, safeMethod);
    if (stale !== null) throw tellMiss(loaded.tier, ms, stale);
    const recent = this.#remember(keyId.did, subject, loaded, nowMs);
    // What is among the recent answers has not been purged until this very moment.
    const current = this.#recents.peek(keyId.did) === recent;
    const epoch = current ? this.#tools.withdrawals.epoch : loaded.epoch;
    return foundKey(keyId, { ...recent, tier: loaded.tier, methodClass: 'chain', epoch, nowMs, ms });
  }

  /** "No such key" is believed for as long as memory would have kept it, however long the shared tier keeps documents. */
  #isOldRefusal(document: ChainDocument, fragment: string | null): boolean {
    const nowMs = this.#options.now();
    if (nowMs - document.readAtMs < this.#bounds.recentTtlMs) return false;
    try {
      chooseKey(document, fragment, nowMs);
      return false;
    } catch {
      return true;
    }
  }

  /** Keeps a document for the next few seconds, unless it was purged between its delivery and now. */
  #remember(did: string, subject: ChainSubject, { document, epoch }: Loaded, nowMs: number): Recent {
    const known = this.#recents.peek(did);
    if (known?.document === document) return known;
    // What the nodes asked agree on is an answer, but of another branch than the watched one: of that, no change is told.
    const isOther = this.#branches.isOther(subject.chainId, document);
    const freshUntilMs = document.readAtMs + (isOther ? 0 : this.#chains.ttlMs(subject.chainId));
    const untilMs = Math.min(freshUntilMs, nowMs + this.#bounds.recentTtlMs);
    const recent = { document, freshUntilMs, untilMs };
    if (this.#tools.withdrawals.withdrawnSince(did, epoch)) return recent;
    if (this.memory.holdsOther(did, (key) => isStillNamed(document, key, nowMs))) {
      // A key is gone and no event told of it: whoever still holds it must not use it either.
      this.#tools.forget(did, null, 'document');
      this.#tools.announce(did);
    }
    const crowdedOut = this.#branches.note(subject.chainId, did, document);
    if (crowdedOut !== undefined) this.#unread(crowdedOut);
    this.#recents.set(did, recent);
    const ahead = this.#aheads.peek(did);
    // The newer one stands when the last seconds are over.
    if (ahead !== undefined && ahead.document.readAtMs <= document.readAtMs) this.#aheads.set(did, recent);
    return recent;
  }

  #peerPurged(text: string): void {
    const { withdrawals, forget, announce } = this.#tools;
    const message = openPurge(this.#options.sharedSecret, text);
    if (message === null) {
      this.#forgedMessages += 1;
      return;
    }
    const point = pointOf(message);
    // A chain this node is not configured for is another node's business; a change heard already, here or there,
    // has done its work: purging twice would only refuse requests that read the keys in between.
    if (!this.#chains.has(message.chainId) || withdrawals.alreadyHeard(message.did, point.mark)) return;
    forget(message.did, point, 'peer');
    // A value this node wrote a moment ago may have reached Redis after the sender removed its own.
    this.#options.shared?.delete([sharedKey(message.did)]).catch(() => undefined);
    announce(message.did);
    this.#purged(message.did);
  }

  /** A document that may answer at once: of the last seconds, or one read ahead that has the key. */
  #known({ did, fragment }: ParsedKeyId, nowMs: number): Recent | undefined {
    const recent = this.#recents.peek(did);
    if (recent !== undefined && nowMs < recent.untilMs) return recent;
    const ahead = this.#aheads.peek(did);
    if (ahead === undefined || nowMs >= ahead.freshUntilMs) return undefined;
    return this.#isOldRefusal(ahead.document, fragment) ? undefined : ahead;
  }

  /** After a request was proven: its caller is not to wait when the key's time is up. */
  #admitted({ did, hash, freshUntilMs, validUntilMs }: ResolvedKey): void {
    const { chainTtlMs, frequentMin } = this.#bounds;
    // A key that ends by itself is not made to last by reading it again.
    if (validUntilMs <= freshUntilMs) return;
    if (this.#options.now() < freshUntilMs - AHEAD_SHARE * chainTtlMs) return;
    if (this.memory.frequency(hash) >= frequentMin) this.#readAhead.ask(did, 'expiry');
  }

  /** After a change on chain: who calls often is about to call again. */
  #purged(did: string): void {
    if (this.memory.frequency(frequencyHash(did)) >= this.#bounds.frequentMin)
      this.#readAhead.ask(did, 'purge');
  }

  async #read(did: string): Promise<AheadOutcome> {
    const subject = this.#subjectOf(did);
    if (subject === null || !this.#isLive(subject)) return 'dropped';
    let loaded = await this.#documents.load(did, subject, isNamedByEvents(subject), true);
    const nearlyUpAtMs = loaded.document.readAtMs + (1 - AHEAD_SHARE) * this.#bounds.chainTtlMs;
    // What another node read as long ago as this one gains nothing.
    if (loaded.tier === 'redis' && this.#options.now() >= nearlyUpAtMs)
      loaded = await this.#documents.load(did, subject, false, true);
    const nowMs = this.#options.now();
    if (!this.#isLive(subject)) return 'dropped';
    const recent = this.#remember(did, subject, loaded, nowMs);
    // What is not there any more was purged between its delivery and now.
    if (this.#recents.peek(did) !== recent || !recent.document.exists) return 'dropped';
    this.#aheads.set(did, recent);
    this.memory.renew(did, (key) => renewedKey(key, recent, nowMs));
    return 'kept';
  }

  /** Where the keys of a DID stand that no request named. */
  #subjectOf(did: string): ChainSubject | null {
    try {
      const keyId = parseKeyId(did);
      return keyId.did === did ? this.#chains.subjectOf(keyId.subject) : null;
    } catch {
      // What a database holds may be of another release.
      return null;
    }
  }

  #isLive({ chainId }: ChainSubject): boolean {
    return this.#chains.sight(chainId) === 'live';
  }
}

function elsewhere({ did }: ParsedKeyId): DidError {
  return new DidError('did_method_unsupported', `the registry that ${did} names is not configured here`);
}
