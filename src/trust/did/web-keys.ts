/**
 * The class of methods whose documents are fetched from a host. Nobody tells when such a document changes, so a key is
 * used for at most `webTtlMs` after its document was read, and then its host is asked again: that is how long a revocation
 * may take. Past it nothing is used, whatever the reason that the host cannot be asked.
 */
import { LRUCache } from 'lru-cache';
import type { MethodClass, ParsedKeyId } from './did-url.ts';
import { chooseKey } from './document.ts';
import { DidError } from './errors.ts';
import { tellHit, tellMiss } from './events.ts';
import { foundKey } from './found-key.ts';
import type { ClassTools, DidDescription, KeyClass } from './key-class.ts';
import { isStillNamed } from './key-import.ts';
import { createKeyMemory, type KeyMemory, type ResolvedKey } from './key-memory.ts';
import type { FindOptions, ResolverBounds } from './resolver.ts';
import { type DocumentReader, type WebDocument, WebDocuments, type WebLoaded } from './web-documents.ts';
import type { WebName } from './web-name.ts';

/** What documents may take in memory: those whose keys have verified, and the rest, apart. */
const DOCUMENT_BYTES_MAX = 16_777_216;
/** A host that forbids keeping its document is asked no more often than this all the same. */
const TTL_MS_MIN = 5_000;
/** The last part of a document's time in which its host is asked ahead, so that nobody waits and a blip costs nothing. */
const AHEAD_SHARE = 1 / 3;
/** Between two questions ahead of time when the first failed. */
const AHEAD_RETRY_MS = 5_000;
/** How long a failure answers for the next question: a document that cannot be read costs a fetch each second, no more. */
const FAILURE_MS = 1_000;

interface Held {
  readonly document: WebDocument;
  readonly freshUntilMs: number;
  readonly ttlMs: number;
  /** When its host may be asked ahead of time. */
  aheadAtMs: number;
}

interface Failure {
  readonly error: DidError;
  readonly untilMs: number;
}

export interface WebKeysOptions {
  readonly methodClass: MethodClass;
  readonly read: DocumentReader;
  /** The longest that a host may wish its keys to be used after they were read; without a wish it is `webTtlMs`. */
  readonly ttlMsMax: number;
  readonly now: () => number;
  readonly monotonicNow: () => number;
}

export class WebKeys implements KeyClass {
  readonly memory: KeyMemory;
  readonly #options: WebKeysOptions;
  readonly #bounds: ResolverBounds;
  readonly #tools: ClassTools;
  readonly #documents: WebDocuments;
  /** Documents of which a key has verified a request; strangers cannot push them out. */
  readonly #proven: LRUCache<string, Held>;
  readonly #unproven: LRUCache<string, Held>;
  readonly #failures: LRUCache<string, Failure>;

  constructor(options: WebKeysOptions, bounds: ResolverBounds, tools: ClassTools) {
    this.#options = options;
    this.#bounds = bounds;
    this.#tools = tools;
    this.#documents = new WebDocuments({ ...options, withdrawals: tools.withdrawals });
    const sizes = {
      maxSize: DOCUMENT_BYTES_MAX,
      sizeCalculation: ({ document }: Held) => document.bytes,
    };
    this.#proven = new LRUCache({ max: bounds.webEntries, ...sizes });
    this.#unproven = new LRUCache({ max: bounds.recentEntries, ...sizes });
    this.#failures = new LRUCache({ max: bounds.recentEntries });
    const memory = createKeyMemory(bounds.webEntries);
    this.memory = {
      ...memory,
      get size() {
        return memory.size;
      },
      admit: (resolved, epoch) => {
        memory.admit(resolved, epoch);
        this.#prove(resolved.did);
      },
    };
  }

  find(keyId: ParsedKeyId, options: FindOptions): ResolvedKey | Promise<ResolvedKey> {
    const { did, fragment, site } = keyId;
    if (site === null) throw new TypeError(`${did} is not published by a host`);
    const { epoch } = this.#tools.withdrawals;
    const { methodClass } = this.#options;
    const nowMs = this.#options.now();
    const remembered = this.memory.find(did, fragment, epoch);
    if (remembered !== undefined && nowMs < remembered.freshUntilMs) {
      tellHit();
      this.#askAhead(did, site, nowMs);
      return remembered;
    }
    const held = this.#heldOf(did);
    if (held !== undefined && this.#mayAnswer(held, fragment, nowMs)) {
      this.#askAhead(did, site, nowMs);
      return foundKey(keyId, { ...held, tier: 'memory', methodClass, epoch, nowMs, ms: 0 });
    }
    const failure = this.#failures.get(did);
    if (failure !== undefined && nowMs < failure.untilMs) throw tellMiss('memory', 0, failure.error);
    if (!this.#documents.isFlying(did)) options.onCold?.();
    return this.#findRemote(keyId, site, held?.document ?? null);
  }

  async describe({ did, site }: ParsedKeyId, known: boolean): Promise<DidDescription> {
    if (site === null) throw new TypeError(`${did} is not published by a host`);
    const found = await this.#documents.describe(did, site, known);
    const { exists, keys, deactivated = false, published = null } = found;
    return { did, exists, deactivated, keys, published, chain: null };
  }

  async recheck({ did, site }: ParsedKeyId): Promise<void> {
    const held = this.#heldOf(did);
    const nowMs = this.#options.now();
    if (site === null || (held !== undefined && nowMs < held.aheadAtMs)) return;
    if (nowMs < (this.#failures.get(did)?.untilMs ?? 0)) return;
    try {
      const loaded = await this.#load(did, site, held?.document ?? null);
      this.#remember(did, loaded, this.#options.now());
    } catch {
      // Past its time nobody vouches for the key: who asks hears so.
      const late = this.#heldOf(did);
      if (late === undefined || this.#options.now() >= late.freshUntilMs) this.#tools.announce(did);
    }
  }

  /** After `Withdrawals.withdrawAll`. */
  forgetAll(): void {
    this.memory.clear();
    for (const kept of [this.#proven, this.#unproven, this.#failures]) kept.clear();
  }

  forget(did: string): void {
    this.memory.delete(did);
    this.#proven.delete(did);
    this.#unproven.delete(did);
    this.#failures.delete(did);
  }

  /** Whether a document of the DID is at hand. */
  knows(did: string): boolean {
    return this.#heldOf(did) !== undefined;
  }

  /** Documents under way. */
  get flights(): number {
    return this.#documents.flights;
  }

  async #load(did: string, site: WebName, held: WebDocument | null): Promise<WebLoaded> {
    try {
      return await this.#documents.load({ did, site, held, known: this.#proven.has(did) });
    } catch (error) {
      if (error instanceof DidError) {
        this.#failures.set(did, { error, untilMs: this.#options.now() + FAILURE_MS });
      }
      throw error;
    }
  }

  #heldOf(did: string): Held | undefined {
    return this.#proven.peek(did) ?? this.#unproven.peek(did);
  }

  /** Within its time; "no such key" is believed for a few seconds only, because a new key is published at any moment. */
  #mayAnswer({ document, freshUntilMs }: Held, fragment: string | null, nowMs: number): boolean {
    if (nowMs >= freshUntilMs) return false;
    if (nowMs - document.readAtMs < this.#bounds.recentTtlMs) return true;
    try {
      chooseKey(document, fragment, nowMs);
      return true;
    } catch {
      return false;
    }
  }

  async #findRemote(keyId: ParsedKeyId, site: WebName, known: WebDocument | null): Promise<ResolvedKey> {
    const { methodClass, now, monotonicNow } = this.#options;
    const { did } = keyId;
    const startedAt = monotonicNow();
    let loaded: WebLoaded;
    try {
      loaded = await this.#load(did, site, known);
    } catch (error) {
      throw tellMiss('web', monotonicNow() - startedAt, error);
    }
    const nowMs = now();
    const held = this.#remember(did, loaded, nowMs);
    // What is held has not been purged until this very moment.
    const epoch = this.#heldOf(did) === held ? this.#tools.withdrawals.epoch : loaded.epoch;
    const ms = monotonicNow() - startedAt;
    return foundKey(keyId, { ...held, tier: 'web', methodClass, epoch, nowMs, ms });
  }

  /** Asks the host again when a document's time is nearly up. When that fails the document stands until it is. */
  #askAhead(did: string, site: WebName, nowMs: number): void {
    const held = this.#proven.peek(did);
    if (held === undefined || nowMs < held.aheadAtMs) return;
    held.aheadAtMs = nowMs + AHEAD_RETRY_MS;
    this.#load(did, site, held.document).then(
      (loaded) => this.#remember(did, loaded, this.#options.now()),
      () => undefined,
    );
  }

  /** Keeps a document until its time is up, unless it was purged between its delivery and now. */
  #remember(did: string, { document, epoch }: WebLoaded, nowMs: number): Held {
    const known = this.#heldOf(did);
    if (known?.document === document) return known;
    const ttlMs = this.#ttlMs(document);
    const freshUntilMs = document.readAtMs + ttlMs;
    const held: Held = { document, freshUntilMs, ttlMs, aheadAtMs: freshUntilMs - AHEAD_SHARE * ttlMs };
    if (this.#tools.withdrawals.withdrawnSince(did, epoch)) return held;
    if (this.memory.holdsOther(did, (key) => isStillNamed(document, key, nowMs))) {
      // A key is gone: what it holds open ends, and what it has under way counts for nothing.
      this.#tools.forget(did, null, 'document');
      this.#tools.announce(did);
    }
    this.#failures.delete(did);
    (this.#proven.has(did) ? this.#proven : this.#unproven).set(did, held);
    return held;
  }

  /** As long as the host wishes, but neither longer than a revocation may take nor shorter than it can be asked. */
  #ttlMs({ exists, maxAgeMs }: WebDocument): number {
    const { webTtlMs, recentTtlMs } = this.#bounds;
    const cap = exists ? this.#options.ttlMsMax : Math.min(webTtlMs, recentTtlMs);
    return Math.min(cap, Math.max(TTL_MS_MIN, maxAgeMs ?? webTtlMs));
  }

  /** Moves a document to where strangers cannot push it out. */
  #prove(did: string): void {
    if (this.#proven.get(did) !== undefined) return;
    const held = this.#unproven.peek(did);
    if (held === undefined) return;
    this.#proven.set(did, held);
    this.#unproven.delete(did);
  }
}
