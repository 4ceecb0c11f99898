import { LRUCache } from 'lru-cache';
import { AgentDocuments, type Loaded, sharedKey } from './agent-documents.ts';
import { refuseDenied } from './deny-list.ts';
import { type AgentLocation, agentDid, chainIdOf, type ParsedKeyId, parseKeyId } from './did-url.ts';
import { type AgentDocument, chooseKey, isSoleKey } from './document.ts';
import { DidError } from './errors.ts';
import { type DidResolutionEvent, didPurge, didResolution, type PurgeReason, type Tier } from './events.ts';
import { frequencyHash } from './frequency.ts';
import { importOnce, isStillNamed } from './key-import.ts';
import { createKeyMemory, type KeyMemory, type ResolvedKey } from './key-memory.ts';
import { offlineKey } from './offline.ts';
import type { ChainChange } from './ports.ts';
import type { FindOptions, Resolver, ResolverBounds, ResolverOptions, ResolverStats } from './resolver.ts';
import { createRevocations, type Revocations, type RevokedListener } from './revocations.ts';
import { markOf, openPurge, type PurgeMessage, sealPurge } from './sealed.ts';
import { type Sight, sightOf, type WatcherReport } from './staleness.ts';
import { type ChangePoint, Withdrawals } from './withdrawals.ts';

interface Recent {
  readonly document: AgentDocument;
  readonly freshUntilMs: number;
  readonly untilMs: number;
}

interface Watched {
  readonly registries: ReadonlySet<string>;
  report: WatcherReport;
  reportedAtMs: number;
}

/** Shared by all hits, so that telling of them costs no memory. */
const MEMORY_HIT: DidResolutionEvent = Object.freeze({ tier: 'memory', ms: 0, outcome: 'found' });

/** `createResolver` makes it, once the bounds have been checked. */
export class KeyResolver implements Resolver {
  readonly #options: ResolverOptions;
  readonly #bounds: ResolverBounds;
  readonly #withdrawals: Withdrawals;
  readonly #chainKeys: KeyMemory;
  readonly #offlineKeys: KeyMemory;
  readonly #recents: LRUCache<string, Recent>;
  readonly #watched = new Map<number, Watched>();
  readonly #documents: AgentDocuments | null;
  readonly #revocations: Revocations;
  #forgedMessages = 0;

  constructor(options: ResolverOptions, bounds: ResolverBounds) {
    const { chain, now, log } = options;
    this.#options = options;
    this.#bounds = bounds;
    this.#withdrawals = new Withdrawals(bounds.withdrawals);
    this.#chainKeys = createKeyMemory(bounds.chainEntries);
    this.#offlineKeys = createKeyMemory(bounds.offlineEntries);
    this.#recents = new LRUCache({ max: bounds.recentEntries });
    this.#revocations = createRevocations((keyId) => this.#thumbprintOf(keyId), log);
    const reportedAtMs = now();
    for (const { chainId, registries } of chain === null ? [] : options.chains) {
      const lowerCase = new Set(registries.map((address) => address.toLowerCase()));
      // No report yet: as if level with the head at this moment, and silent since.
      this.#watched.set(chainId, {
        registries: lowerCase,
        report: { lagMs: 0, connected: false },
        reportedAtMs,
      });
    }
    this.#documents =
      chain === null
        ? null
        : new AgentDocuments({
            chain,
            shared: options.shared,
            secret: options.sharedSecret,
            withdrawals: this.#withdrawals,
            now,
            log,
            ttlMs: (chainId) => this.#ttlMs(chainId),
          });
    options.shared?.onPurge((text) => this.#peerPurged(text));
    options.shared?.onDisconnect(() => this.purge({ all: true }, 'shared_cache_lost'));
    options.shared?.onReconnect(() => this.purge({ all: true }, 'shared_cache_lost'));
  }

  find(keyId: ParsedKeyId, options: FindOptions): ResolvedKey | Promise<ResolvedKey> {
    const { denied } = this.#options;
    if (denied.size === 0) return this.#lookUp(keyId, options);
    refuseDenied(denied, keyId.did, keyId.fragment === null ? null : keyId.text);
    const found = this.#lookUp(keyId, options);
    // Which key a bare DID means is known only now.
    if (keyId.fragment !== null) return found;
    return found instanceof Promise ? found.then((key) => this.#undenied(key)) : this.#undenied(found);
  }

  #lookUp(keyId: ParsedKeyId, options: FindOptions): ResolvedKey | Promise<ResolvedKey> {
    const { agent } = keyId;
    if (agent === null) return this.#findOffline(keyId);
    const watched = this.#watched.get(agent.chainId);
    if (watched === undefined) throw missed('memory', 0, elsewhere(agent));
    const nowMs = this.#options.now();
    const stale = this.#staleness(watched, nowMs, options.safeMethod);
    if (stale !== null) throw missed('memory', 0, stale);
    const held = this.#chainKeys.find(keyId.did, keyId.fragment, this.#withdrawals.epoch);
    if (held !== undefined && nowMs < held.freshUntilMs) {
      if (didResolution.hasSubscribers) didResolution.publish(MEMORY_HIT);
      return held;
    }
    const recent = this.#recents.peek(keyId.did);
    if (recent !== undefined && nowMs < recent.untilMs) {
      return this.#answer(keyId, recent, 'memory', this.#withdrawals.epoch, nowMs, 0);
    }
    if (this.#documents === null || !watched.registries.has(agent.registry)) {
      throw missed('memory', 0, elsewhere(agent));
    }
    return this.#findRemote(this.#documents, keyId, agent, watched, options.safeMethod);
  }

  admit(resolved: ResolvedKey): boolean {
    if (!this.stands(resolved)) return false;
    const memory = resolved.did.startsWith('did:sage:') ? this.#chainKeys : this.#offlineKeys;
    memory.admit(resolved, this.#withdrawals.epoch);
    return true;
  }

  stands(resolved: ResolvedKey): boolean {
    if (this.#options.denied.why(resolved.did, resolved.keyId) !== null) return false;
    if (this.#withdrawals.withdrawnSince(resolved.did, resolved.epoch)) return false;
    return resolved.validUntilMs === Number.POSITIVE_INFINITY || this.#options.now() < resolved.validUntilMs;
  }

  purge(what: { readonly did: string } | { readonly all: true }, reason: PurgeReason): void {
    if ('did' in what) {
      this.#forget(what.did, null, reason);
      this.#revocations.announce(what.did);
      return;
    }
    this.#withdrawals.withdrawAll();
    this.#forgetAll(reason, null);
  }

  chainChanged(change: ChainChange): void {
    const { shared, sharedSecret } = this.#options;
    const { chainId, kind, blockNumber } = change;
    if (!this.#watched.has(chainId)) return;
    if (kind === 'reset') {
      // Each node's own watcher says so to its own node; what Redis holds is too old for this node from now on.
      this.#withdrawals.withdrawChain(chainId, blockNumber);
      this.#forgetAll('chain', blockNumber);
      return;
    }
    const { fragment = '', safe = false, blockHash } = change;
    const did = agentDid(chainId, change.registry, change.agentId);
    const message: PurgeMessage = { did, kind, fragment, safe, blockNumber, blockHash };
    this.#forget(did, { kind, chainId, blockNumber, mark: markOf(message) }, 'chain');
    if (shared !== null) {
      // In this order and without waiting: whoever hears of the purge must not find the old value any more. When
      // Redis cannot be told, the other nodes' own watchers and the block floors stand in, and losing the
      // subscription flushes them.
      shared.delete([sharedKey(did)]).catch(() => undefined);
      shared.publishPurge(sealPurge(sharedSecret, message)).catch(() => undefined);
    }
    this.#revocations.announce(did);
  }

  setStaleness(chainId: number, report: WatcherReport): void {
    const watched = this.#watched.get(chainId);
    if (watched === undefined) return;
    watched.report = report;
    watched.reportedAtMs = this.#options.now();
  }

  watchedFrom(chainId: number, blockNumber: number): void {
    if (this.#watched.has(chainId)) this.#withdrawals.watchedFrom(chainId, blockNumber);
  }

  onRevoked(listener: RevokedListener): void {
    this.#revocations.onRevoked(listener);
  }

  stats(): ResolverStats {
    const counts = this.#documents?.counts();
    const nowMs = this.#options.now();
    return {
      chainKeys: this.#chainKeys.size,
      offlineKeys: this.#offlineKeys.size,
      recentAnswers: this.#recents.size,
      flights: counts?.flights ?? 0,
      chainReads: counts?.chainReads ?? 0,
      forged: (counts?.forged ?? 0) + this.#forgedMessages,
      outdated: counts?.outdated ?? 0,
      sight: Object.fromEntries(
        [...this.#watched].map(([chainId, watched]) => [`${chainId}`, this.#sight(watched, nowMs)]),
      ),
    };
  }

  close(): void {
    this.#revocations.close();
  }

  #undenied(found: ResolvedKey): ResolvedKey {
    refuseDenied(this.#options.denied, found.did, found.keyId);
    return found;
  }

  #findOffline(keyId: ParsedKeyId): ResolvedKey {
    const { epoch } = this.#withdrawals;
    const held = this.#offlineKeys.find(keyId.did, keyId.fragment, epoch);
    if (held !== undefined) {
      if (didResolution.hasSubscribers) didResolution.publish(MEMORY_HIT);
      return held;
    }
    const startedAt = this.#options.monotonicNow();
    try {
      const { fragment, key } = offlineKey(keyId);
      told('offline', this.#options.monotonicNow() - startedAt, 'found');
      return {
        did: keyId.did,
        keyId: `${keyId.did}#${fragment}`,
        fragment,
        key,
        validUntilMs: Number.POSITIVE_INFINITY,
        tier: 'offline',
        epoch,
        freshUntilMs: Number.POSITIVE_INFINITY,
        sole: true,
        hash: frequencyHash(keyId.did),
      };
    } catch (error) {
      throw missed('offline', this.#options.monotonicNow() - startedAt, error);
    }
  }

  async #findRemote(
    documents: AgentDocuments,
    keyId: ParsedKeyId,
    agent: AgentLocation,
    watched: Watched,
    safeMethod: boolean,
  ): Promise<ResolvedKey> {
    const { now, monotonicNow } = this.#options;
    const startedAt = monotonicNow();
    let loaded: Loaded;
    try {
      const sight = this.#sight(watched, now());
      loaded = await documents.load(keyId.did, agent, sight === 'live' || sight === 'degraded');
      if (loaded.tier === 'redis' && this.#isOldRefusal(loaded.document, keyId.fragment)) {
        loaded = await documents.load(keyId.did, agent, false);
      }
    } catch (error) {
      throw missed('chain', monotonicNow() - startedAt, error);
    }
    const nowMs = now();
    const ms = monotonicNow() - startedAt;
    // Time has passed: what was within bounds when the request asked may not be now.
    const stale = this.#staleness(watched, nowMs, safeMethod);
    if (stale !== null) throw missed(loaded.tier, ms, stale);
    const recent = this.#remember(keyId.did, agent, loaded, nowMs);
    // What is among the recent answers has not been purged until this very moment.
    const current = this.#recents.peek(keyId.did) === recent;
    const epoch = current ? this.#withdrawals.epoch : loaded.epoch;
    return this.#answer(keyId, recent, loaded.tier, epoch, nowMs, ms);
  }

  /** "No such key" is believed for as long as memory would have kept it, however long the shared tier keeps documents. */
  #isOldRefusal(document: AgentDocument, fragment: string | null): boolean {
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
  #remember(did: string, agent: AgentLocation, { document, epoch }: Loaded, nowMs: number): Recent {
    const known = this.#recents.peek(did);
    if (known?.document === document) return known;
    const freshUntilMs = document.readAtMs + this.#ttlMs(agent.chainId);
    const untilMs = Math.min(freshUntilMs, nowMs + this.#bounds.recentTtlMs);
    const recent = { document, freshUntilMs, untilMs };
    if (this.#withdrawals.withdrawnSince(did, epoch)) return recent;
    if (this.#chainKeys.holdsOther(did, (key) => isStillNamed(document, key, nowMs))) {
      // A key is gone and no event told of it: whoever still holds it must not use it either.
      this.#forget(did, null, 'document');
      this.#revocations.announce(did);
    }
    this.#recents.set(did, recent);
    return recent;
  }

  #answer(
    keyId: ParsedKeyId,
    recent: Recent,
    tier: Tier,
    epoch: number,
    nowMs: number,
    ms: number,
  ): ResolvedKey {
    const { document, freshUntilMs } = recent;
    try {
      const chosen = chooseKey(document, keyId.fragment, nowMs);
      const key = importOnce(chosen);
      told(tier, ms, 'found');
      return {
        did: keyId.did,
        keyId: `${keyId.did}#${chosen.fragment}`,
        fragment: chosen.fragment,
        key,
        validUntilMs: chosen.validUntilMs,
        tier,
        epoch,
        freshUntilMs: Math.min(freshUntilMs, chosen.validUntilMs),
        sole: isSoleKey(document, chosen),
        hash: frequencyHash(keyId.did),
      };
    } catch (error) {
      throw missed(tier, ms, error);
    }
  }

  #forget(did: string, change: ChangePoint | null, reason: PurgeReason): void {
    this.#withdrawals.withdraw(did, change);
    this.#chainKeys.delete(did);
    this.#offlineKeys.delete(did);
    this.#recents.delete(did);
    if (didPurge.hasSubscribers) didPurge.publish({ did, reason, blockNumber: change?.blockNumber ?? null });
  }

  #forgetAll(reason: PurgeReason, blockNumber: number | null): void {
    this.#chainKeys.clear();
    this.#recents.clear();
    if (didPurge.hasSubscribers) didPurge.publish({ did: null, reason, blockNumber });
    this.#revocations.announce(null);
  }

  #peerPurged(text: string): void {
    const message = openPurge(this.#options.sharedSecret, text);
    const chainId = message === null ? null : chainIdOf(message.did);
    if (message === null || chainId === null) {
      this.#forgedMessages += 1;
      return;
    }
    const mark = markOf(message);
    // A chain this node is not configured for is another node's business; a change heard already, here or there,
    // has done its work: purging twice would only refuse requests that read the keys in between.
    if (!this.#watched.has(chainId) || this.#withdrawals.alreadyHeard(message.did, mark)) return;
    const { kind, blockNumber } = message;
    this.#forget(message.did, { kind, chainId, blockNumber, mark }, 'peer');
    // A value this node wrote a moment ago may have reached Redis after the sender removed its own.
    this.#options.shared?.delete([sharedKey(message.did)]).catch(() => undefined);
    this.#revocations.announce(message.did);
  }

  async #thumbprintOf(keyId: string): Promise<string> {
    const found = await this.find(parseKeyId(keyId), { safeMethod: true });
    if (this.#withdrawals.withdrawnSince(found.did, found.epoch)) {
      throw new DidError('key_withdrawn', 'the DID changed while it was looked up');
    }
    return found.key.thumbprint;
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

function elsewhere(agent: AgentLocation): DidError {
  return new DidError(
    'did_method_unsupported',
    `registry ${agent.registry} on chain ${agent.chainId} is not configured here`,
  );
}

function told(tier: Tier, ms: number, outcome: DidResolutionEvent['outcome']): void {
  if (didResolution.hasSubscribers) didResolution.publish({ tier, ms, outcome });
}

/** Tells of a failed look-up, and hands the error back to be thrown. */
function missed(tier: Tier, ms: number, error: unknown): unknown {
  if (error instanceof DidError) told(tier, ms, error.code);
  return error;
}
