/**
 * The class of methods whose keys stand on a chain: in memory, then in the tier the nodes share, then read anew. What
 * the watcher of a chain cannot see fails closed, whatever memory holds.
 */
import { LRUCache } from 'lru-cache';
import { ChainDocuments, type Loaded, sharedKey } from './chain-documents.ts';
import type { ParsedKeyId, SubjectName } from './did-url.ts';
import { type ChainDocument, chooseKey } from './document.ts';
import { DidError } from './errors.ts';
import { type PurgeReason, tellHit, tellMiss, tellPurge } from './events.ts';
import { foundKey } from './found-key.ts';
import type { ClassTools, DidDescription, KeyClass } from './key-class.ts';
import { isStillNamed } from './key-import.ts';
import { createKeyMemory, type KeyMemory, type ResolvedKey } from './key-memory.ts';
import type { ChainChange, ChainReader, ChainSubject, ContractKind } from './ports.ts';
import type { FindOptions, ResolverBounds, ResolverOptions } from './resolver.ts';
import { markOf, openPurge, type PurgeMessage, sealPurge } from './sealed.ts';
import { type Sight, sightOf, type WatcherReport } from './staleness.ts';
import type { ChangePoint } from './withdrawals.ts';

interface Recent {
  readonly document: ChainDocument;
  readonly freshUntilMs: number;
  readonly untilMs: number;
}

interface Watched {
  readonly contracts: readonly { readonly kind: ContractKind; readonly address: string }[];
  report: WatcherReport;
  reportedAtMs: number;
}

export class ChainKeys implements KeyClass {
  readonly memory: KeyMemory;
  readonly #options: ResolverOptions;
  readonly #bounds: ResolverBounds;
  readonly #tools: ClassTools;
  readonly #recents: LRUCache<string, Recent>;
  readonly #watched = new Map<number, Watched>();
  readonly #documents: ChainDocuments;
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
    this.memory = createKeyMemory(bounds.chainEntries);
    this.#recents = new LRUCache({ max: bounds.recentEntries });
    const reportedAtMs = now();
    for (const { chainId, contracts } of options.chains) {
      this.#watched.set(chainId, {
        contracts: contracts.map(({ kind, address }) => ({ kind, address: address.toLowerCase() })),
        // No report yet: as if level with the head at this moment, and silent since.
        report: { lagMs: 0, connected: false },
        reportedAtMs,
      });
    }
    this.#documents = new ChainDocuments({
      chain,
      shared: options.shared,
      secret: options.sharedSecret,
      tombstones: options.tombstones,
      withdrawals: tools.withdrawals,
      now,
      log,
      ttlMs: (chainId) => this.#ttlMs(chainId),
    });
    options.shared?.onPurge((text) => this.#peerPurged(text));
  }

  find(keyId: ParsedKeyId, options: FindOptions): ResolvedKey | Promise<ResolvedKey> {
    const { withdrawals } = this.#tools;
    const subject = this.#subjectOf(keyId.subject);
    const watched = subject === null ? undefined : this.#watched.get(subject.chainId);
    if (subject === null || watched === undefined) throw tellMiss('memory', 0, elsewhere(keyId));
    const nowMs = this.#options.now();
    const stale = this.#staleness(watched, nowMs, options.safeMethod);
    if (stale !== null) throw tellMiss('memory', 0, stale);
    const held = this.memory.find(keyId.did, keyId.fragment, withdrawals.epoch);
    if (held !== undefined && nowMs < held.freshUntilMs) {
      tellHit();
      return held;
    }
    const recent = this.#recents.peek(keyId.did);
    if (recent !== undefined && nowMs < recent.untilMs) {
      const { epoch } = withdrawals;
      return foundKey(keyId, { ...recent, tier: 'memory', methodClass: 'chain', epoch, nowMs, ms: 0 });
    }
    if (!this.#documents.isFlying(keyId.did)) options.onCold?.();
    return this.#findRemote(keyId, subject, watched, options.safeMethod);
  }

  async describe(keyId: ParsedKeyId): Promise<DidDescription> {
    const subject = this.#subjectOf(keyId.subject);
    const watched = subject === null ? undefined : this.#watched.get(subject.chainId);
    if (subject === null || watched === undefined) throw elsewhere(keyId);
    const { document } = await this.#documents.load(keyId.did, subject, false);
    const stale = this.#staleness(watched, this.#options.now(), true);
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

  forget(did: string): void {
    this.memory.delete(did);
    this.#recents.delete(did);
  }

  /** After `Withdrawals.withdrawAll` or its like. */
  forgetAll(reason: PurgeReason, blockNumber: number | null): void {
    this.memory.clear();
    this.#recents.clear();
    tellPurge(null, reason, blockNumber);
    this.#tools.announce(null);
  }

  chainChanged(change: ChainChange): void {
    const { shared, sharedSecret } = this.#options;
    const { chainId, kind, blockNumber } = change;
    if (!this.#watched.has(chainId)) return;
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
    const watched = this.#watched.get(chainId);
    if (watched === undefined) return;
    watched.report = report;
    watched.reportedAtMs = this.#options.now();
  }

  watchedFrom(chainId: number, blockNumber: number): void {
    if (this.#watched.has(chainId)) this.#tools.withdrawals.watchedFrom(chainId, blockNumber);
  }

  followedTo(chainId: number, blockNumber: number): void {
    if (this.#watched.has(chainId)) this.#tools.withdrawals.followedTo(chainId, blockNumber);
  }

  stats() {
    const { flights, chainReads, forged, outdated } = this.#documents.counts();
    const nowMs = this.#options.now();
    return {
      chainKeys: this.memory.size,
      recentAnswers: this.#recents.size,
      flights,
      chainReads,
      forged: forged + this.#forgedMessages,
      outdated,
      sight: Object.fromEntries(
        [...this.#watched].map(([chainId, watched]) => [`${chainId}`, this.#sight(watched, nowMs)]),
      ),
    };
  }

  /** Where the keys of `name` stand by the configuration; null when nowhere that is configured. */
  #subjectOf(name: SubjectName | null): ChainSubject | null {
    if (name === null) return null;
    const { kind, id } = name;
    for (const [chainId, { contracts }] of this.#watched) {
      if (name.chainId !== null && name.chainId !== chainId) continue;
      for (const contract of contracts) {
        if (contract.kind !== kind || (name.contract !== null && contract.address !== name.contract))
          continue;
        return { kind, chainId, contract: contract.address, id };
      }
    }
    return null;
  }

  async #findRemote(
    keyId: ParsedKeyId,
    subject: ChainSubject,
    watched: Watched,
    safeMethod: boolean,
  ): Promise<ResolvedKey> {
    const { now, monotonicNow } = this.#options;
    const startedAt = monotonicNow();
    let loaded: Loaded;
    try {
      const sight = this.#sight(watched, now());
      const mayShare = isNamedByEvents(subject) && (sight === 'live' || sight === 'degraded');
      loaded = await this.#documents.load(keyId.did, subject, mayShare);
      if (loaded.tier === 'redis' && this.#isOldRefusal(loaded.document, keyId.fragment)) {
        loaded = await this.#documents.load(keyId.did, subject, false);
      }
    } catch (error) {
      throw tellMiss('chain', monotonicNow() - startedAt, error);
    }
    const nowMs = now();
    const ms = monotonicNow() - startedAt;
    // Time has passed: what was within bounds when the request asked may not be now.
    const stale = this.#staleness(watched, nowMs, safeMethod);
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
    const freshUntilMs = document.readAtMs + this.#ttlMs(subject.chainId);
    const untilMs = Math.min(freshUntilMs, nowMs + this.#bounds.recentTtlMs);
    const recent = { document, freshUntilMs, untilMs };
    if (this.#tools.withdrawals.withdrawnSince(did, epoch)) return recent;
    if (this.memory.holdsOther(did, (key) => isStillNamed(document, key, nowMs))) {
      // A key is gone and no event told of it: whoever still holds it must not use it either.
      this.#tools.forget(did, null, 'document');
      this.#tools.announce(did);
    }
    this.#recents.set(did, recent);
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
    if (!this.#watched.has(message.chainId) || withdrawals.alreadyHeard(message.did, point.mark)) return;
    forget(message.did, point, 'peer');
    // A value this node wrote a moment ago may have reached Redis after the sender removed its own.
    this.#options.shared?.delete([sharedKey(message.did)]).catch(() => undefined);
    announce(message.did);
  }

  #ttlMs(chainId: number): number {
    const watched = this.#watched.get(chainId);
    const live = watched !== undefined && this.#sight(watched, this.#options.now()) === 'live';
    return live ? this.#bounds.chainTtlMs : this.#bounds.degradedTtlMs;
  }

  #sight(watched: Watched, nowMs: number): Sight {
    return sightOf(watched.report, watched.reportedAtMs, nowMs, this.#bounds);
  }

  #staleness(watched: Watched, nowMs: number, safeMethod: boolean): DidError | null {
    const sight = this.#sight(watched, nowMs);
    if (sight === 'live' || sight === 'degraded' || (sight === 'lagging' && safeMethod)) return null;
    return new DidError('did_stale', `the watcher lags behind the chain: ${sight}`);
  }
}

/**
 * Whether every node knows from an event alone whom it concerns. Of the others only those who have read them do, so what
 * another node shared may be older than a change that this one heard of without knowing whose it was.
 */
function isNamedByEvents({ kind, id }: ChainSubject): boolean {
  return kind === 'erc8004' || (kind === 'ethr' && id.length === 42);
}

function pointOf(message: PurgeMessage): ChangePoint {
  const { kind, chainId, blockNumber } = message;
  return { kind, chainId, blockNumber, mark: markOf(message) };
}

function elsewhere({ did }: ParsedKeyId): DidError {
  return new DidError('did_method_unsupported', `the registry that ${did} names is not configured here`);
}
