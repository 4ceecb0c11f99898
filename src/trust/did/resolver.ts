/**
 * Finds the key that a keyid names: in memory, then where its method keeps it: on a chain (by way of the tier the nodes
 * share) or at a host; did:key and did:jwk carry theirs with them. What it promises: a key is never handed out after its purge, a key enters memory only
 * after a signature verified with it, and what cannot be known is never taken for "no such key".
 */

import type { SharedKeyCache } from '../../store/redis/key-cache.ts';
import type { Fetcher } from '../fetch/fetcher.ts';
import type { VerificationKey } from '../keys/key.ts';
import type { HashOf } from './branches.ts';
import type { DenyList } from './deny-list.ts';
import type { ParsedKeyId } from './did-url.ts';
import type { PurgeReason } from './events.ts';
import type { DidDescription } from './key-class.ts';
import type { ResolvedKey } from './key-memory.ts';
import { KeyResolver } from './key-resolver.ts';
import type { ChainChange, ChainReader, ContractKind, ResolverLog } from './ports.ts';
import type { RevokedListener } from './revocations.ts';
import { SEAL_SECRET_BYTES_MIN } from './sealed.ts';
import type { Sight, WatcherReport } from './staleness.ts';
import type { Tombstones } from './tombstones.ts';

export type { ResolvedKey } from './key-memory.ts';

export interface ResolverBounds {
  /** DIDs of chain keys held in memory. */
  readonly chainEntries: number;
  /** did:key and did:jwk held in memory, apart, so that minting them cannot push out chain keys. */
  readonly offlineEntries: number;
  /** did:web and did:webvh held in memory, apart: a host and a name below it cost little. */
  readonly webEntries: number;
  /** How long a key may be used after its document was fetched: at most 60,000 ms, because nothing else revokes it. */
  readonly webTtlMs: number;
  /** The same for keys of a directory, when its host wishes them to be kept longer than `webTtlMs`: at most 300,000 ms. */
  readonly directoryTtlMsMax: number;
  /** Answers of the last seconds, "no such agent" included, whether or not a signature verified. */
  readonly recentEntries: number;
  /** How long those are kept: 5,000 to 30,000 ms. */
  readonly recentTtlMs: number;
  /** How long a chain key may be used after it was read, while a watcher tells of changes. */
  readonly chainTtlMs: number;
  /** The same for what is read while the watcher is not connected. */
  readonly degradedTtlMs: number;
  readonly maxHeadLagMs: number;
  readonly maxSafeHeadLagMs: number;
  /** Purges remembered one by one. */
  readonly withdrawals: number;
  /** Verified requests, as the sketch of frequencies has it, from which on a DID is read ahead. */
  readonly frequentMin: number;
}

const RESOLVER_BOUNDS: ResolverBounds = {
  chainEntries: 10_000,
  offlineEntries: 10_000,
  webEntries: 10_000,
  webTtlMs: 60_000,
  directoryTtlMsMax: 300_000,
  recentEntries: 2_048,
  recentTtlMs: 10_000,
  chainTtlMs: 300_000,
  degradedTtlMs: 30_000,
  maxHeadLagMs: 5_000,
  maxSafeHeadLagMs: 60_000,
  withdrawals: 16_384,
  frequentMin: 8,
};

const RECENT_TTL_MS_MIN = 5_000;
const RECENT_TTL_MS_MAX = 30_000;
const WEB_TTL_MS_MAX = 60_000;
const DIRECTORY_TTL_MS_MAX = 300_000;

export interface ResolverOptions {
  /** Null: no method that lives on a chain is supported here. */
  readonly chain: ChainReader | null;
  /** Contracts that count, per chain; addresses in any case. */
  readonly chains: readonly {
    readonly chainId: number;
    readonly contracts: readonly { readonly kind: ContractKind; readonly address: string }[];
  }[];
  /** Null: did:web and did:webvh are not supported here. Who made it closes it. */
  readonly fetcher: Fetcher | null;
  /** Keys that the operator gave by name, secrets shared with their callers: they come before any document. */
  readonly configured?: (keyId: string) => VerificationKey | undefined;
  readonly shared: SharedKeyCache | null;
  /** Authenticates what is put into `shared`: at least 32 bytes, the same on every node. */
  readonly sharedSecret: Uint8Array;
  /** What was taken away on chain, beyond this process and this node; for what comes from `shared`. */
  readonly tombstones?: Pick<Tombstones, 'note' | 'find'> | undefined;
  /** What operators deny; after it has changed, the DIDs concerned are to be purged. */
  readonly denied: DenyList;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that only goes forward; for measuring alone. */
  readonly monotonicNow: () => number;
  readonly bounds?: Partial<ResolverBounds>;
  readonly log: ResolverLog;
}

export interface FindOptions {
  /** GET, HEAD, OPTIONS or TRACE (RFC 9110, section 9.2.1). */
  readonly safeMethod: boolean;
  /** Called before a key is looked up that memory does not have; what it throws is thrown on, and nothing looked up. */
  readonly onCold?: (() => void) | undefined;
}

export interface ResolverStats {
  readonly chainKeys: number;
  readonly offlineKeys: number;
  readonly webKeys: number;
  /** Documents that are being fetched. */
  readonly webFlights: number;
  readonly recentAnswers: number;
  readonly flights: number;
  readonly chainReads: number;
  /** Values and messages from the shared tier that were not ours. */
  readonly forged: number;
  /** Values from the shared tier that were older than what this node knows. */
  readonly outdated: number;
  /** What each chain's watcher allows just now. */
  readonly sight: Readonly<Record<string, Sight>>;
}

export interface Resolver {
  /**
   * The key for `keyId`. Synchronous, throws included, whenever memory has the answer or the DID carries its key.
   * @throws DidError
   */
  find(keyId: ParsedKeyId, options: FindOptions): ResolvedKey | Promise<ResolvedKey>;
  /**
   * What stands under a DID now, read anew from whoever has the say. For those who look, not for requests.
   * @param known whether the one who asks may take the places that strangers may not
   * @throws DidError
   */
  describe(did: string, known: boolean): Promise<DidDescription>;
  /**
   * To be called once a signature verified, last thing before the request is believed. False: the DID was purged or
   * denied, or the key ran out, since it was found, and the request must be refused (`key_withdrawn`).
   */
  admit(resolved: ResolvedKey): boolean;
  /**
   * Whether what `admit` checked still holds; for what waited after it, such as a request for its body. Counts nothing.
   */
  stands(resolved: ResolvedKey): boolean;
  /** Forgets, on this node, and makes worthless what is under way. */
  purge(what: { readonly did: string } | { readonly all: true }, reason: PurgeReason): void;
  /** For the watcher of a chain: memory is purged when this returns; the other nodes are told. */
  chainChanged(change: ChainChange): void;
  /** The watcher's report; silence counts as lag, so repeat it well within `maxHeadLagMs`. */
  setStaleness(chainId: number, report: WatcherReport): void;
  /**
   * The watcher has told, or will tell, of every change after this block. Until then the shared tier is not believed, and
   * from then on no RPC node that is behind it. To be called again when the chain's head falls below it.
   */
  watchedFrom(chainId: number, blockNumber: number): void;
  /** The watcher has followed the chain up to this block, and told all that it changed. */
  followed(chainId: number, blockNumber: number, hashOf: HashOf): void;
  /** An earlier run had followed the chain to this block: what begins below it now may be another branch. */
  followedTo(chainId: number, blockNumber: number): void;
  /** To be called now and then for each DID that has something open: `onRevoked` tells when its keys no longer stand. */
  recheck(did: string): Promise<void>;
  /** Called after every purge, so that what a caller holds open can be closed when its key no longer stands. */
  onRevoked(listener: RevokedListener): void;
  /** DIDs of chain keys in memory, those who proved themselves most often first. */
  mostFrequent(max: number): readonly string[];
  /** Reads documents of these DIDs ahead, as far as they are of this chain, in the background and one after the other. */
  warm(chainId: number, dids: readonly string[]): void;
  stats(): ResolverStats;
  close(): void;
}

/** @throws RangeError when a bound or the secret is out of range. */
export function createResolver(options: ResolverOptions): Resolver {
  const bounds = { ...RESOLVER_BOUNDS, ...options.bounds };
  if (!(bounds.recentTtlMs >= RECENT_TTL_MS_MIN && bounds.recentTtlMs <= RECENT_TTL_MS_MAX)) {
    throw new RangeError(`recentTtlMs must be ${RECENT_TTL_MS_MIN} to ${RECENT_TTL_MS_MAX}`);
  }
  if (!(bounds.webTtlMs > 0 && bounds.webTtlMs <= WEB_TTL_MS_MAX)) {
    throw new RangeError(`webTtlMs must be at most ${WEB_TTL_MS_MAX}`);
  }
  if (!(bounds.directoryTtlMsMax > 0 && bounds.directoryTtlMsMax <= DIRECTORY_TTL_MS_MAX)) {
    throw new RangeError(`directoryTtlMsMax must be at most ${DIRECTORY_TTL_MS_MAX}`);
  }
  if (options.shared !== null && options.sharedSecret.length < SEAL_SECRET_BYTES_MIN) {
    throw new RangeError(`sharedSecret must have at least ${SEAL_SECRET_BYTES_MIN} bytes`);
  }
  return new KeyResolver(options, bounds);
}
