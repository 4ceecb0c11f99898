/**
 * The keys of every caller this gateway knows how to ask about: resolver, chain readers, watchers and the fetcher put together.
 * A watcher purges the resolver as soon as its registry changes, and reports how well it sees the chain.
 */
import { createHash, randomBytes } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import type { Database } from '../store/database.ts';
import type { SharedKeyCache } from '../store/redis/key-cache.ts';
import { createReads, type Disagreement, type NodeRecord } from './chain/agreement.ts';
import type { RegistryChange } from './chain/changes.ts';
import type { Checkpoint, WatcherLog } from './chain/checkpoint.ts';
import type { Finality } from './chain/snapshot.ts';
import { startWatcher, type Watcher, type WatcherState } from './chain/watcher.ts';
import { type ChainNames, createChainNames } from './chain-names.ts';
import { createChainReader, type ReadableChain } from './chain-reader.ts';
import { createDenyList, type DenyList } from './did/deny-list.ts';
import type { ContractKind } from './did/ports.ts';
import { createResolver, type Resolver } from './did/resolver.ts';
import { createAgeClock } from './did/staleness.ts';
import { openTombstones, type Tombstones } from './did/tombstones.ts';
import { openWarmUp } from './did/warm-up.ts';
import { createFetcher } from './fetch/fetcher.ts';
import type { VerificationKey } from './keys/key.ts';

/** Payload: `ChainHead`. */
const chainHead = channel('sage:chain.head');
/** Payload: `RpcDisagreement`. */
const rpcDisagreement = channel('sage:rpc.disagreement');

export interface RpcDisagreement extends Disagreement {
  readonly chainId: number;
}

export interface ChainHead {
  readonly chainId: number;
  readonly head: number | null;
  readonly lagBlocks: number | null;
  readonly connected: boolean;
  /** How long ago the watcher last knew itself level with the head; null when it never did. */
  readonly ageMs: number | null;
}

export interface WatchedChain {
  readonly id: number;
  readonly urls: readonly string[];
  readonly registries: readonly {
    readonly kind: ContractKind;
    readonly address: string;
    readonly fromBlock: number;
  }[];
  readonly finality: Finality;
}

export interface KeySourceOptions {
  readonly chains: readonly WatchedChain[];
  /** Keys that the operator gave, by what keyid says. */
  readonly configured: (keyId: string) => VerificationKey | undefined;
  readonly shared: SharedKeyCache | null;
  /** CLUSTER_SECRET: authenticates keys in the shared tier. Null when nothing is shared, where any key will do. */
  readonly clusterSecret: string | null;
  readonly pollIntervalMs: number;
  /** CHAINS_MAY_BEGIN_ANEW: chains are restarted from their beginning. */
  readonly chainsMayBeginAnew: boolean;
  /** ALLOW_PRIVATE_DID_HOSTS: hosts of documents may have addresses that are not public. */
  readonly allowPrivateHosts: boolean;
  /** What is kept over restarts: how far each chain was followed, what was taken away there, who called most often. */
  readonly database?: Pick<Database, 'checkpoints' | 'tombstones' | 'frequentDids'>;
  readonly log: WatcherLog;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly monotonicNow: () => number;
}

export interface KeySource {
  readonly resolver: Resolver;
  /** What operators deny; empty until `stored-denials.ts` fills it. */
  readonly denied: DenyList;
  /** One for each chain, for health. */
  chains(): readonly {
    readonly chainId: number;
    readonly state: WatcherState;
    /** How long ago its watcher last knew itself level with the head; Infinity when it never did. */
    readonly ageMs: number;
    /** What each of several nodes stood alone with; empty where there is one. */
    readonly nodes: readonly NodeRecord[];
  }[];
  close(): Promise<void>;
}

/** How often a watcher's sight is reported: well within the 5 s after which unsafe methods fail closed. */
const REPORT_MS = 500;
/** A wall clock that goes back by more than this between two reports was set; less is NTP at work. */
const SET_BACK_MS = 1_000;

/** A key of its own for this use, so that the secret can serve others too. */
function sealKey(clusterSecret: string | null): Uint8Array {
  if (clusterSecret === null) return randomBytes(32);
  return createHash('sha256').update(`sage key cache\0${clusterSecret}`).digest();
}

function checkpointOf(
  { database, log }: KeySourceOptions,
  chainId: number,
  resolver: Resolver,
  tombstones: Tombstones | undefined,
): Checkpoint | undefined {
  if (database === undefined) return undefined;
  const { checkpoints } = database;
  return {
    async load() {
      try {
        const block = (await checkpoints.load(chainId)) ?? undefined;
        if (block !== undefined) resolver.followedTo(chainId, block.number);
        return block;
      } catch (error) {
        // As after a first start: every key of the registries is asked for again.
        log.warn({ err: error, chain: chainId }, 'chain watcher: the checkpoint was not read');
        return undefined;
      }
    },
    async save(block) {
      // What is told up to here is told again after a restart unless it is kept.
      await tombstones?.written();
      await checkpoints.save(chainId, block);
    },
  };
}

interface Watching {
  readonly chain: WatchedChain;
  readonly names: ChainNames;
  readonly resolver: Resolver;
  readonly tombstones: Tombstones | undefined;
  readonly ageNow: () => number;
}

function watch({ chain, names, resolver, tombstones, ageNow }: Watching, options: KeySourceOptions): Watcher {
  const kinds = new Map(chain.registries.map(({ address, kind }) => [address.toLowerCase(), kind]));
  let watchedFrom = Number.POSITIVE_INFINITY;
  const checkpoint = checkpointOf(options, chain.id, resolver, tombstones);
  const onChanged = (change: RegistryChange): void => {
    const chainId = chain.id;
    if (change.kind === 'reset') {
      resolver.chainChanged({ chainId, kind: 'reset', blockNumber: change.blockNumber });
      // The watch begins anew.
      watchedFrom = Number.POSITIVE_INFINITY;
      return;
    }
    const { registry, agentId: word } = change;
    const kind = kinds.get(registry) ?? 'erc8004';
    for (const did of names.touched({ registry, kind, word }))
      resolver.chainChanged({ ...change, chainId, did });
  };
  const watcher: Watcher = startWatcher({
    urls: chain.urls,
    chainId: chain.id,
    registries: chain.registries,
    finality: chain.finality,
    pollIntervalMs: options.pollIntervalMs,
    log: options.log,
    now: ageNow,
    ...(checkpoint === undefined ? {} : { checkpoint }),
    mayBeginAnew: options.chainsMayBeginAnew,
    onChanged,
    onHead(head) {
      if (head.number < watchedFrom) {
        watchedFrom = head.number;
        resolver.watchedFrom(chain.id, watchedFrom);
      }
      resolver.followed(chain.id, head.number, watcher.hashOf);
    },
  });
  return watcher;
}

function openReads(
  { id, urls, registries, finality }: WatchedChain,
  { log, now }: KeySourceOptions,
  onForgotten: (did: string) => void,
): ReadableChain {
  const onDisagreement = (disagreement: Disagreement): void => {
    // Each time: a node that lies about keys is an attack, and shunned for a while after each.
    log.warn({ chain: id, ...disagreement }, 'an RPC node says otherwise than the others: not believed');
    rpcDisagreement.publish({ chainId: id, ...disagreement } satisfies RpcDisagreement);
  };
  return {
    reads: createReads({ urls, chainId: id, onDisagreement, now }),
    names: createChainNames(id, onForgotten),
    finality,
    fromBlocks: new Map(registries.map(({ address, fromBlock }) => [address.toLowerCase(), fromBlock])),
  };
}

function ageOf({ freshAtMs }: WatcherState, ageNow: () => number): number {
  return freshAtMs === 0 ? Number.POSITIVE_INFINITY : Math.round(ageNow() - freshAtMs);
}

/** To the resolver, whose keys are good for as long as their chain is seen, and to whoever listens. */
function reportSight(
  watchers: readonly { readonly chainId: number; readonly watcher: Watcher }[],
  resolver: Resolver,
  ageNow: () => number,
): void {
  for (const { chainId, watcher } of watchers) {
    const state = watcher.state();
    const { connected, head, lagBlocks } = state;
    const lagMs = ageOf(state, ageNow);
    resolver.setStaleness(chainId, { connected, lagMs });
    if (chainHead.hasSubscribers) {
      const ageMs = Number.isFinite(lagMs) ? lagMs : null;
      const event = { chainId, head: head?.number ?? null, lagBlocks, connected, ageMs };
      chainHead.publish(event satisfies ChainHead);
    }
  }
}

/** Asked now and then: whether the wall clock was set back since. What is kept until then would be kept for so much longer. */
function createSetBack(now: () => number, ageNow: () => number): () => boolean {
  let aheadMs = ageNow() - now();
  return () => {
    const beforeMs = aheadMs;
    aheadMs = ageNow() - now();
    return aheadMs - beforeMs > SET_BACK_MS;
  };
}

/** Opens everything at once; unreachable nodes are asked again and again, and until then their callers fail closed. */
export function openKeySource(options: KeySourceOptions): KeySource {
  const { chains, database, now } = options;
  const readable = new Map(
    chains.map((chain) => [
      chain.id,
      openReads(chain, options, (did) => resolver.purge({ did }, 'document')),
    ]),
  );
  const fetcher = createFetcher({
    allowPrivateHosts: options.allowPrivateHosts,
    monotonicNow: options.monotonicNow,
  });
  const denied = createDenyList(now);
  const tombstones = database && openTombstones({ ...options, rows: database.tombstones });
  const resolver = createResolver({
    tombstones,
    denied,
    chain: chains.length === 0 ? null : createChainReader(readable),
    chains: chains.map(({ id, registries }) => ({
      chainId: id,
      contracts: registries,
    })),
    fetcher,
    configured: options.configured,
    shared: options.shared,
    sharedSecret: sealKey(options.clusterSecret),
    now,
    monotonicNow: options.monotonicNow,
    log: options.log,
  });
  const ageNow = createAgeClock(now, options.monotonicNow);
  const watchers = chains.map((chain) => {
    const { names, reads } = readable.get(chain.id) as ReadableChain;
    const watcher = watch({ chain, names, resolver, tombstones, ageNow }, options);
    return { chainId: chain.id, watcher, reads };
  });
  const wasSetBack = createSetBack(now, ageNow);
  const report = (): void => {
    if (wasSetBack()) resolver.purge({ all: true }, 'clock');
    reportSight(watchers, resolver, ageNow);
  };
  const warmUp = database && openWarmUp({ ...options, rows: database.frequentDids, resolver });
  for (const { chainId, watcher } of watchers) {
    const begin = (): void => {
      report();
      warmUp?.begin(chainId);
    };
    void watcher.ready.then(begin, () => undefined);
  }
  // At once: until a watcher has caught up, nothing is vouched for, and nobody served.
  report();
  const timer = setInterval(report, REPORT_MS);
  return {
    resolver,
    denied,
    chains: () =>
      watchers.map(({ chainId, watcher, reads }) => {
        const state = watcher.state();
        return { chainId, state, ageMs: ageOf(state, ageNow), nodes: reads.nodes() };
      }),
    async close() {
      clearInterval(timer);
      await warmUp?.close();
      fetcher.close();
      resolver.close();
      await Promise.all(watchers.map(({ watcher }) => watcher.close()));
      await tombstones?.close();
      await Promise.all(Array.from(readable.values(), ({ reads }) => reads.close()));
    },
  };
}
