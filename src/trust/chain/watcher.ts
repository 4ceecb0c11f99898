/**
 * Watches registries on one chain, on a connection of its own: ethers' WebSocketProvider dies in silence when its
 * node restarts, and viem loses what happened meanwhile. Here a connection proves itself by a heartbeat, and after
 * each new one the chain is read from the last block that was followed.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { type BlockRef, type Header, parseHeader, parseLog } from './blocks.ts';
import type { RegistryChange } from './changes.ts';
import { type Checkpoint, createSaver, type WatcherLog } from './checkpoint.ts';
import { ChainError, originOf } from './errors.ts';
import { createFollower, type FollowedRegistry, type Follower } from './follower.ts';
import { RESPONSE_BYTES_MAX, type RpcLink } from './json-rpc.ts';
import type { Batch } from './log-range.ts';
import { createMailbox, type Mailbox } from './mailbox.ts';
import { assertChainId, assertRpcUrls, openLink } from './rpc.ts';
import type { Finality } from './snapshot.ts';

export interface WatcherOptions {
  /** `ws:`, `wss:`: subscribes. `http:`, `https:`: polls. In order of preference. */
  readonly urls: readonly string[];
  readonly chainId: number;
  readonly registries: readonly FollowedRegistry[];
  readonly onChanged: (change: RegistryChange) => void;
  /** A block was followed, and all it changed is reported. */
  readonly onHead?: (head: BlockRef) => void;
  /** How many blocks the last followed one lies behind the last announced one; called when it changes. */
  readonly onLag?: (lagBlocks: number) => void;
  /** In memory when left out: after a restart the registries are then reset. */
  readonly checkpoint?: Checkpoint;
  readonly finality?: Finality;
  /** Whether the chain may be restarted from its beginning; of others a low head means that the node lags. */
  readonly mayBeginAnew: boolean;
  readonly log: WatcherLog;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** In [0, 1): spreads the reconnections of many gateways. */
  readonly random?: () => number;
  readonly pollIntervalMs?: number;
  readonly heartbeatMs?: number;
  readonly timeoutMs?: number;
}

export interface WatcherState {
  /** Connected, and caught up at least once on this connection. */
  readonly connected: boolean;
  /** Scheme and host of the node in use. */
  readonly node: string | undefined;
  readonly head: BlockRef | undefined;
  /** When `head` was followed. Blocks are rare on some chains, so this alone does not tell a dead node. */
  readonly headAtMs: number;
  /** When the node last confirmed that `head` is its head: at most heartbeat and timeout ago on a live connection. */
  readonly freshAtMs: number;
  readonly safeBlock: number;
  readonly lagBlocks: number;
  readonly lastError: { readonly code: string; readonly message: string; readonly atMs: number } | undefined;
}

export interface Watcher {
  /**
   * Resolves once caught up for the first time; waits as long as no node can be reached. Rejects when every URL
   * serves another chain, or on `close()`.
   */
  readonly ready: Promise<void>;
  state(): WatcherState;
  /** Of one of the last blocks that were followed; undefined for others. */
  hashOf(this: void, number: number): string | undefined;
  close(): Promise<void>;
}

const POLL_INTERVAL_MS = 1_000;

/** With the timeout of a call, a dead socket is noticed within the 5 s after which unsafe methods fail closed. */
const HEARTBEAT_MS = 1_500;

/** Longer than for a single agent: after an absence an answer may hold the logs of many blocks. */
const WATCH_TIMEOUT_MS = 3_000;

/** Heads in a row that lie below what was followed already, and how often they are asked for, before another node is tried. */
const BEHIND_MAX = 3;
const BEHIND_POLL_MS = 250;

const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 5_000;

/** Reorganisations in a row that interrupt one step, before the connection is given up. */
const MOVES_MAX = 8;

/** A watcher from inside: what its steps share. */
interface Watching {
  readonly options: WatcherOptions;
  readonly follower: Follower;
  readonly stop: AbortController;
  readonly ready: PromiseWithResolvers<void>;
  link: RpcLink | undefined;
  node: string | undefined;
  connected: boolean;
  headAtMs: number;
  freshAtMs: number;
  lagBlocks: number;
  behind: number;
  lastError: WatcherState['lastError'];
}

/** @throws ChainError `rpc_unreachable` for an unusable list of URLs. */
export function startWatcher(options: WatcherOptions): Watcher {
  assertRpcUrls(options.urls);
  const saver = createSaver(options.checkpoint, options.log);
  let before: BlockRef | undefined;
  // Loaded once: other nodes that share it go on, and one that is always a block behind them would never begin.
  const loadCheckpoint = async (): Promise<BlockRef | undefined> => {
    before ??= await options.checkpoint?.load();
    return before;
  };
  const follower = createFollower({
    registries: options.registries,
    finality: options.finality ?? 'safe',
    loadCheckpoint,
    mayBeginAnew: options.mayBeginAnew,
    onChanged: guarded(options.onChanged, options.log),
    onTip(tip) {
      watching.headAtMs = options.now();
      guarded(options.onHead, options.log)(tip);
      saver.save({ number: tip.number, hash: tip.hash });
    },
  });
  const watching: Watching = {
    options,
    follower,
    stop: new AbortController(),
    ready: Promise.withResolvers<void>(),
    link: undefined,
    node: undefined,
    connected: false,
    headAtMs: 0,
    freshAtMs: 0,
    lagBlocks: 0,
    behind: 0,
    lastError: undefined,
  };
  // Whoever does not wait for readiness must not be ended by it.
  watching.ready.promise.catch(() => undefined);
  const running = run(watching);
  return {
    ready: watching.ready.promise,
    state: () => stateOf(watching),
    hashOf: (number) => follower.hashOf(number),
    async close() {
      watching.stop.abort();
      watching.ready.reject(new ChainError('rpc_unreachable', { detail: 'the watcher was closed' }));
      await watching.link?.close();
      await running;
      await saver.idle();
    },
  };
}

function stateOf(watching: Watching): WatcherState {
  const { connected, node, headAtMs, freshAtMs, lagBlocks, lastError, follower } = watching;
  const tip = follower.tip();
  return {
    connected,
    node,
    head: tip === undefined ? undefined : { number: tip.number, hash: tip.hash },
    headAtMs,
    freshAtMs,
    safeBlock: follower.safeBlock(),
    lagBlocks,
    lastError,
  };
}

/** Tries one URL after the other, for as long as the watcher lives. */
async function run(watching: Watching): Promise<void> {
  const { options, stop } = watching;
  let attempt = 0;
  while (!stop.signal.aborted) {
    let mismatches = 0;
    let behind = 0;
    for (const url of options.urls) {
      const before = watching.freshAtMs;
      try {
        await session(watching, url);
      } catch (error) {
        if (stop.signal.aborted) return;
        if (watching.freshAtMs > before) attempt = 0;
        if (error instanceof ChainError && error.code === 'chain_mismatch') mismatches += 1;
        if (error instanceof ChainError && error.code === 'rpc_stale' && !watching.follower.lags())
          behind += 1;
        noteError(watching, error);
        if (mismatches === options.urls.length) watching.ready.reject(error as Error);
      }
    }
    // Every node answers, every one is behind, and none is at a block that was followed, which a node that merely lags
    // would be: it is the chain that began anew, as a development chain does.
    if (options.mayBeginAnew && behind === options.urls.length) watching.follower.forget();
    const delayMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** attempt);
    if (delayMs < BACKOFF_MAX_MS) attempt += 1;
    const jitteredMs = delayMs * (0.5 + 0.5 * (options.random ?? Math.random)());
    await sleep(jitteredMs, undefined, { signal: stop.signal }).catch(() => undefined);
  }
}

/** One connection, from its opening until it fails; returns only when the watcher is closed. */
async function session(watching: Watching, url: string): Promise<void> {
  const { options, follower, stop } = watching;
  watching.node = originOf(url);
  const mailbox = createMailbox<Header>();
  const link = await openLink(
    url,
    { timeoutMs: options.timeoutMs ?? WATCH_TIMEOUT_MS, responseBytesMax: RESPONSE_BYTES_MAX },
    {
      onNotification: (result) => receive(result, follower, mailbox),
      onClosed: (reason) => mailbox.fail(reason),
    },
  );
  watching.link = link;
  const batch: Batch = (calls) => link.batch(calls);
  try {
    stop.signal.throwIfAborted();
    const waitMs = await subscribe(url, batch, follower, options);
    await steady(() => follower.poll(batch));
    watching.connected = true;
    noteContact(watching);
    options.log.info({ node: watching.node, head: follower.tip()?.number }, 'chain watcher: caught up');
    watching.ready.resolve();
    while (!stop.signal.aborted) {
      const head = await mailbox.next(
        watching.behind > 0 ? Math.min(waitMs, BEHIND_POLL_MS) : waitMs,
        stop.signal,
      );
      stop.signal.throwIfAborted();
      await steady((again) =>
        head === undefined || again ? follower.poll(batch) : follower.advance(batch, head),
      );
      noteContact(watching);
    }
  } finally {
    watching.connected = false;
    watching.link = undefined;
    await link.close();
  }
}

/**
 * Only a node that is level with what was followed confirms it: one that lags could not know of a later revocation.
 * @throws ChainError `rpc_stale` when it goes on lagging
 */
function noteContact(watching: Watching): void {
  const { follower, options } = watching;
  measureLag(watching);
  if (follower.announced() >= (follower.tip()?.number ?? 0)) {
    watching.freshAtMs = options.now();
    watching.behind = 0;
    return;
  }
  watching.behind += 1;
  if (watching.behind <= BEHIND_MAX) return;
  watching.behind = 0;
  const detail = `block ${follower.announced()}, followed is ${follower.tip()?.number}`;
  throw new ChainError('rpc_stale', { node: watching.node ?? '', detail });
}

function measureLag(watching: Watching): void {
  const { follower, options } = watching;
  const lag = Math.max(0, follower.announced() - (follower.tip()?.number ?? 0));
  if (lag === watching.lagBlocks) return;
  watching.lagBlocks = lag;
  guarded(options.onLag, options.log)(lag);
}

function noteError(watching: Watching, error: unknown): void {
  const { node, options, follower } = watching;
  const code = error instanceof ChainError ? error.code : 'unexpected';
  const message = error instanceof Error ? error.message : String(error);
  watching.lastError = { code, message, atMs: options.now() };
  options.log.warn({ code, node, head: follower.tip()?.number }, `chain watcher: ${message}`);
  measureLag(watching);
}

/** Heads and logs are told apart by their shapes. Only the newest head is kept: it leads to all before it. */
function receive(result: unknown, follower: Follower, mailbox: Mailbox<Header>): void {
  if (typeof result === 'object' && result !== null && 'topics' in result) follower.hear(parseLog(result));
  else mailbox.put(parseHeader(result));
}

/** Proves the chain and subscribes; how long to wait for news before asking, in milliseconds. */
async function subscribe(
  url: string,
  batch: Batch,
  follower: Follower,
  options: WatcherOptions,
): Promise<number> {
  const pollMs = options.pollIntervalMs ?? POLL_INTERVAL_MS;
  const chainId = { method: 'eth_chainId', params: [] };
  if (!url.startsWith('ws')) {
    const [answer] = await batch([chainId]);
    assertChainId(answer, options.chainId, originOf(url));
    return pollMs;
  }
  const [answer, heads, logs] = await batch([
    chainId,
    { method: 'eth_subscribe', params: ['newHeads'] },
    { method: 'eth_subscribe', params: ['logs', follower.filter] },
  ]);
  assertChainId(answer, options.chainId, originOf(url));
  // A node that takes no subscriptions over its socket can still be asked.
  return heads?.ok && logs?.ok ? (options.heartbeatMs ?? HEARTBEAT_MS) : pollMs;
}

/** Takes a step again when the chain moved under it, which leaves the follower at its last good block. */
async function steady(step: (again: boolean) => Promise<void>): Promise<void> {
  for (let moves = 0; ; moves++) {
    try {
      return await step(moves > 0);
    } catch (error) {
      if (!(error instanceof ChainError) || error.code !== 'chain_moved' || moves >= MOVES_MAX) throw error;
    }
  }
}

/** A listener that throws has its own fault; the next block is followed all the same. */
function guarded<T>(listener: ((value: T) => void) | undefined, log: WatcherLog): (value: T) => void {
  return (value) => {
    try {
      listener?.(value);
    } catch (error) {
      log.warn({ err: error }, 'chain watcher: a listener threw');
    }
  };
}
