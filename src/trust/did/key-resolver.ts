import type { VerificationKey } from '../keys/key.ts';
import type { HashOf } from './branches.ts';
import { ChainKeys } from './chain-keys.ts';
import { refuseDenied } from './deny-list.ts';
import { directoryTwin, type MethodClass, type ParsedKeyId, parseKeyId } from './did-url.ts';
import { DidError } from './errors.ts';
import { type PurgeReason, tellHit, tellMiss, tellPurge } from './events.ts';
import type { ClassTools, DidDescription, KeyClass } from './key-class.ts';
import { directoryReader } from './key-directory.ts';
import type { ResolvedKey } from './key-memory.ts';
import { OfflineKeys } from './offline-keys.ts';
import type { ChainChange } from './ports.ts';
import type { FindOptions, Resolver, ResolverBounds, ResolverOptions, ResolverStats } from './resolver.ts';
import { createRevocations, type Revocations, type RevokedListener } from './revocations.ts';
import type { WatcherReport } from './staleness.ts';
import type { DocumentReader } from './web-documents.ts';
import { WebKeys } from './web-keys.ts';
import { documentReader } from './web-reader.ts';
import { type ChangePoint, Withdrawals } from './withdrawals.ts';

/** `createResolver` makes it, once the bounds have been checked. */
export class KeyResolver implements Resolver {
  readonly #options: ResolverOptions;
  readonly #withdrawals: Withdrawals;
  readonly #offline: OfflineKeys;
  readonly #chain: ChainKeys | null;
  readonly #web: WebKeys | null;
  readonly #directories: WebKeys | null;
  readonly #classes: Readonly<Record<MethodClass, KeyClass | null>>;
  readonly #revocations: Revocations;

  constructor(options: ResolverOptions, bounds: ResolverBounds) {
    const { chain, fetcher, log, monotonicNow } = options;
    this.#options = options;
    this.#withdrawals = new Withdrawals(bounds.withdrawals);
    this.#revocations = createRevocations((keyId) => this.#thumbprintOf(keyId), log);
    const tools: ClassTools = {
      withdrawals: this.#withdrawals,
      forget: (did, change, reason) => this.#forget(did, change, reason),
      announce: (did) => this.#revocations.announce(did),
    };
    this.#offline = new OfflineKeys(bounds.offlineEntries, this.#withdrawals, monotonicNow);
    this.#chain = chain === null ? null : new ChainKeys({ ...options, chain }, bounds, tools);
    const hosted = (methodClass: MethodClass, read: DocumentReader, ttlMsMax: number): WebKeys =>
      new WebKeys({ ...options, methodClass, read, ttlMsMax }, bounds, tools);
    this.#web = fetcher && hosted('web', documentReader(fetcher), bounds.webTtlMs);
    this.#directories = fetcher && hosted('directory', directoryReader(fetcher), bounds.directoryTtlMsMax);
    this.#classes = {
      offline: this.#offline,
      chain: this.#chain,
      web: this.#web,
      directory: this.#directories,
      // Asked for each time, so that what is struck from the configuration is gone.
      configured: null,
    };
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
    const given = this.#options.configured?.(keyId.text);
    if (given !== undefined) return this.#configured(keyId, given);
    const methodClass = this.#classes[keyId.methodClass];
    if (methodClass !== null) return methodClass.find(keyId, options);
    throw tellMiss('memory', 0, notConfigured(keyId));
  }

  async describe(did: string, known: boolean): Promise<DidDescription> {
    const keyId = parseKeyId(did);
    if (keyId.fragment !== null) throw new DidError('did_malformed', 'a DID has no fragment');
    const methodClass = this.#classes[keyId.methodClass];
    if (methodClass === null) throw notConfigured(keyId);
    return methodClass.describe(keyId, known);
  }

  #configured(keyId: ParsedKeyId, key: VerificationKey): ResolvedKey {
    tellHit();
    return {
      did: keyId.did,
      keyId: keyId.text,
      fragment: keyId.fragment ?? '',
      key,
      validUntilMs: Number.POSITIVE_INFINITY,
      tier: 'memory',
      methodClass: 'configured',
      epoch: this.#withdrawals.epoch,
      freshUntilMs: Number.POSITIVE_INFINITY,
      sole: false,
      hash: 0,
    };
  }

  admit(resolved: ResolvedKey): boolean {
    if (!this.stands(resolved)) return false;
    this.#classes[resolved.methodClass]?.memory.admit(resolved, this.#withdrawals.epoch);
    return true;
  }

  stands(resolved: ResolvedKey): boolean {
    const { methodClass, key, keyId } = resolved;
    if (methodClass === 'configured' && this.#options.configured?.(keyId)?.thumbprint !== key.thumbprint)
      return false;
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
    this.#chain?.forgetAll(reason, null);
    // What is fetched from hosts is not shared, so nothing is lost with what was.
    if (reason === 'shared_cache_lost') return;
    this.#web?.forgetAll();
    this.#directories?.forgetAll();
  }

  chainChanged(change: ChainChange): void {
    this.#chain?.chainChanged(change);
  }

  setStaleness(chainId: number, report: WatcherReport): void {
    this.#chain?.setStaleness(chainId, report);
  }

  watchedFrom(chainId: number, blockNumber: number): void {
    this.#chain?.watchedFrom(chainId, blockNumber);
  }

  followed(chainId: number, blockNumber: number, hashOf: HashOf): void {
    this.#chain?.followed(chainId, blockNumber, hashOf);
  }

  followedTo(chainId: number, blockNumber: number): void {
    this.#chain?.followedTo(chainId, blockNumber);
  }

  async recheck(did: string): Promise<void> {
    let keyId: ParsedKeyId;
    try {
      keyId = parseKeyId(did);
    } catch {
      // Whoever has no DID has no document that could change.
      return;
    }
    // A host's document and its key directory speak for the same DID; what is open was opened by one of them.
    const known = [this.#web, this.#directories].filter((hosted) => hosted?.knows(did));
    for (const hosted of known) await hosted?.recheck(keyId);
    if (known.length === 0) await this.#classes[keyId.methodClass]?.recheck?.(keyId);
  }

  onRevoked(listener: RevokedListener): void {
    this.#revocations.onRevoked(listener);
  }

  stats(): ResolverStats {
    return {
      ...(this.#chain?.stats() ?? NO_CHAIN),
      webKeys: (this.#web?.memory.size ?? 0) + (this.#directories?.memory.size ?? 0),
      webFlights: (this.#web?.flights ?? 0) + (this.#directories?.flights ?? 0),
      offlineKeys: this.#offline.memory.size,
    };
  }

  mostFrequent(max: number): readonly string[] {
    return this.#chain?.memory.mostFrequent(max, 1) ?? [];
  }

  warm(chainId: number, dids: readonly string[]): void {
    this.#chain?.warm(chainId, dids);
  }

  close(): void {
    this.#chain?.close();
    this.#revocations.close();
  }

  #undenied(found: ResolvedKey): ResolvedKey {
    refuseDenied(this.#options.denied, found.did, found.keyId);
    return found;
  }

  #forget(did: string, change: ChangePoint | null, reason: PurgeReason): void {
    this.#withdrawals.withdraw(did, change);
    for (const methodClass of Object.values(this.#classes)) methodClass?.forget(did);
    tellPurge(did, reason, change?.blockNumber ?? null);
  }

  async #thumbprintOf(keyId: string): Promise<string> {
    const parsed = parseKeyId(keyId);
    const twin = directoryTwin(parsed);
    if (twin === null) return this.#currentThumbprint(parsed);
    // By its name alone a key of a directory cannot be told from one of the host's document; the host vouches for both.
    const [first, second] = this.#directories?.knows(parsed.did) === true ? [twin, parsed] : [parsed, twin];
    try {
      return await this.#currentThumbprint(first);
    } catch (error) {
      return await this.#currentThumbprint(second).catch((other: unknown) => {
        throw error instanceof DidError && error.retryable ? error : other;
      });
    }
  }

  async #currentThumbprint(keyId: ParsedKeyId): Promise<string> {
    const found = await this.find(keyId, { safeMethod: true });
    if (this.#withdrawals.withdrawnSince(found.did, found.epoch)) {
      throw new DidError('key_withdrawn', 'the DID changed while it was looked up');
    }
    return found.key.thumbprint;
  }
}

function notConfigured({ method }: ParsedKeyId): DidError {
  return new DidError('did_method_unsupported', `did:${method} is not configured here`);
}

const NO_CHAIN: Omit<ResolverStats, 'offlineKeys' | 'webKeys' | 'webFlights'> = {
  chainKeys: 0,
  recentAnswers: 0,
  flights: 0,
  chainReads: 0,
  forged: 0,
  outdated: 0,
  sight: {},
};
